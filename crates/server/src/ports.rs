//! The connections of one replica: links to its peers, which it keeps up, and those that gateways and peers opened.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::BytesMut;
use dataplane::{Address, Frame, GatewayId, Members, NodeId, ShardId};
use node::Node;
use secure::line::Detached;
use store::FileDevice;
use tokio::sync::Notify;

use crate::cut::Cut;
use crate::link::Link;
use crate::node_options::NodeOptions;
use crate::partial::Partial;
use crate::place;
use crate::transport::Wire;

/// Most connections of one replica that have greeted.
const NAMED_MAX: usize = 1024;

/// The connections of one replica.
pub(crate) struct Ports {
    peers: RefCell<BTreeMap<NodeId, Rc<Link>>>,
    /// Answers go back over the connection that the gateway opened.
    gateways: RefCell<BTreeMap<GatewayId, Rc<Wire>>>,
    /// And so do those to a node whose address is not known: a member that was added, and whose entry is not here yet.
    strangers: RefCell<BTreeMap<NodeId, Rc<Wire>>>,
    options: NodeOptions,
    shard: ShardId,
    /// What has come, and is not handled yet.
    pub(crate) arrived: RefCell<Vec<Frame>>,
    /// Something has.
    pub(crate) wake: Notify,
    open: Cell<usize>,
    cut: Cut,
    partial: Partial,
}

impl Ports {
    pub(crate) fn new(options: &NodeOptions, shard: ShardId, cut: Cut, partial: Partial) -> Rc<Ports> {
        let ports = Rc::new(Ports {
            peers: RefCell::default(),
            gateways: RefCell::default(),
            strangers: RefCell::default(),
            options: options.clone(),
            shard,
            arrived: RefCell::default(),
            wake: Notify::new(),
            open: Cell::new(0),
            cut,
            partial,
        });
        let known = options.nodes.iter().chain(&options.added);
        known.for_each(|(node, address)| ports.dial(*node, address));
        ports
    }

    /// Keeps up a connection to a node, from now on.
    fn dial(self: &Rc<Ports>, node: NodeId, address: &str) {
        if node == self.options.node {
            return;
        }
        let hello = self.options.hello(Address::Node(node), self.shard);
        let identity = self.options.identity.clone();
        let link = Link::new(address, hello, identity, false, self.cut.clone());
        self.peers.borrow_mut().insert(node, link.clone());
        self.strangers.borrow_mut().remove(&node);
        let ports = self.clone();
        tokio::task::spawn_local(async move { link.run(|frame| ports.arrive(frame), |_| ()).await });
    }

    /// Dials the members that were added.
    pub(crate) fn meet(self: &Rc<Ports>, members: &Members) {
        let known = |node| node == self.options.node || self.peers.borrow().contains_key(&node);
        let new = place::new_ones(members.rows(), known);
        new.iter().for_each(|(node, address)| self.dial(*node, address));
    }

    fn arrive(&self, frame: Frame) {
        self.arrived.borrow_mut().push(frame);
        self.wake.notify_one();
    }

    pub(crate) fn serve(self: &Rc<Ports>, stream: Detached, from: Address, read: BytesMut) {
        if self.open.get() == NAMED_MAX {
            return tracing::warn!("a connection is closed: {NAMED_MAX} are open already");
        }
        self.open.set(self.open.get() + 1);
        let ports = self.clone();
        tokio::task::spawn_local(async move {
            ports.serve_one(stream, from, read).await;
            ports.open.set(ports.open.get() - 1);
        });
    }

    async fn serve_one(self: &Rc<Ports>, stream: Detached, from: Address, read: BytesMut) {
        let ports = self;
        let share = Some(ports.partial.share());
        let wire = stream.attach().and_then(|line| Wire::new(line, ports.cut.clone(), share));
        let wire = match wire {
            Ok(wire) => wire,
            Err(e) => return tracing::warn!("a connection cannot be used: {e}"),
        };
        match from {
            Address::Gateway(id) => drop(ports.gateways.borrow_mut().insert(id, wire.clone())),
            Address::Node(node) if !ports.peers.borrow().contains_key(&node) => {
                ports.strangers.borrow_mut().insert(node, wire.clone());
            }
            Address::Node(_) => (),
        }
        let why = wire.run(read, |frame| ports.arrive(frame)).await;
        tracing::debug!("a connection of {from} ended: {why}");
        if let Address::Gateway(id) = from {
            let mut gateways = ports.gateways.borrow_mut();
            if gateways.get(&id).is_some_and(|current| Rc::ptr_eq(current, &wire)) {
                gateways.remove(&id);
            }
        }
        ports.strangers.borrow_mut().retain(|_, stranger| !Rc::ptr_eq(stranger, &wire));
    }

    /// All frames of a round, one write per connection.
    pub(crate) fn send_all(&self, replica: &mut Node<FileDevice>) {
        let mut any = false;
        for frame in replica.outbox() {
            self.push(&frame);
            any = true;
        }
        if any {
            self.flush();
        }
    }

    pub(crate) fn push(&self, frame: &Frame) {
        match frame.to {
            Address::Node(node) => match self.peers.borrow().get(&node) {
                Some(link) => link.push(frame),
                None => self.strangers.borrow().get(&node).into_iter().for_each(|wire| wire.push(frame)),
            },
            Address::Gateway(id) => {
                self.gateways.borrow().get(&id).into_iter().for_each(|wire| wire.push(frame));
            }
        }
    }

    pub(crate) fn flush(&self) {
        self.peers.borrow().values().for_each(|link| link.flush());
        self.strangers.borrow().values().for_each(|wire| wire.flush());
        self.gateways.borrow().values().for_each(|wire| wire.flush());
    }
}
