//! The connections of one replica: links to its peers, which it keeps up, and those that gateways and peers opened.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::BytesMut;
use dataplane::{Address, Frame, GatewayId, NodeId, ShardId};
use node::Node;
use secure::line::Detached;
use store::FileDevice;
use tokio::sync::Notify;

use crate::child::Cut;
use crate::link::Link;
use crate::node_options::NodeOptions;
use crate::partial::Partial;
use crate::transport::Wire;

/// Most connections of one replica that have greeted.
const NAMED_MAX: usize = 1024;

/// The connections of one replica.
pub(crate) struct Ports {
    peers: BTreeMap<NodeId, Rc<Link>>,
    /// Answers go back over the connection that the gateway opened.
    gateways: RefCell<BTreeMap<GatewayId, Rc<Wire>>>,
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
        let mut peers = BTreeMap::new();
        for (&node, address) in options.nodes.iter().filter(|(node, _)| **node != options.node) {
            let hello = options.hello(Address::Node(node), shard);
            peers.insert(node, Link::new(address, hello, options.identity.clone(), false, cut.clone()));
        }
        let ports = Rc::new(Ports {
            peers,
            gateways: RefCell::default(),
            arrived: RefCell::default(),
            wake: Notify::new(),
            open: Cell::new(0),
            cut,
            partial,
        });
        for link in ports.peers.values() {
            let (ports, link) = (ports.clone(), link.clone());
            tokio::task::spawn_local(async move { link.run(|frame| ports.arrive(frame), |_| ()).await });
        }
        ports
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
        if let Address::Gateway(id) = from {
            ports.gateways.borrow_mut().insert(id, wire.clone());
        }
        let why = wire.run(read, |frame| ports.arrive(frame)).await;
        tracing::debug!("a connection of {from} ended: {why}");
        if let Address::Gateway(id) = from {
            let mut gateways = ports.gateways.borrow_mut();
            if gateways.get(&id).is_some_and(|current| Rc::ptr_eq(current, &wire)) {
                gateways.remove(&id);
            }
        }
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
            Address::Node(node) => self.peers.get(&node).into_iter().for_each(|link| link.push(frame)),
            Address::Gateway(id) => {
                self.gateways.borrow().get(&id).into_iter().for_each(|wire| wire.push(frame));
            }
        }
    }

    pub(crate) fn flush(&self) {
        self.peers.values().for_each(|link| link.flush());
        self.gateways.borrow().values().for_each(|wire| wire.flush());
    }
}
