//! The model as a cluster to which a schedule happens.

use dataplane::{Address, Epoch, Message, NodeId};
use disk::Harm;
use extensions::Name;
use sim::schedule::Peer;
use trace::{Event, Mechanisms};

use super::scope::{SCOPES, Scope};
use super::world::{Ear, Letter, World};
use crate::cluster::Block;
use crate::cluster::language::{Ask, Setting};
use crate::cluster::stage::{Cluster, Stage};
use crate::cluster::witness::History;
use crate::shared::Shared;

/// The world of the checker, and what its replicas told.
pub(crate) struct Model {
    pub(crate) world: World,
    ear: Ear,
}

impl Model {
    fn unsynced(&self, node: u32, keep: usize) -> Result<(), String> {
        let unsynced = self.world.unsynced(node);
        if keep > unsynced { Err(format!("n{node} has {unsynced} unsynced records")) } else { Ok(()) }
    }
}

impl World {
    /// The first state of a scope.
    pub fn first(scope: &Scope) -> World {
        let world = World::new(scope);
        if scope.begin.is_empty() {
            return world;
        }
        let mut stage: Stage<Model> =
            Stage::new(&scope.setting(), scope.mechanisms).expect("the model has this cluster");
        scope.begin().for_each(|step| _ = stage.take(&step).expect("it is possible"));
        world.behind(stage.cluster.world)
    }
}

const NO_GATEWAYS: &str = "the checker's model has no gateways";
const NO_UPKEEP: &str = "the checker's model has no devices that `gc` could work on";
const NO_DEVICES: &str = "the checker's model has no devices that could be damaged";

impl Cluster for Model {
    type Letter = Shared<Letter>;

    fn new(setting: &Setting, on: Mechanisms) -> Result<Model, String> {
        if setting.gateways > 0 {
            return Err(NO_GATEWAYS.into());
        }
        if setting.with.has(Name::Gc) {
            return Err(NO_UPKEEP.into());
        }
        let scope = Scope {
            nodes: setting.nodes,
            joining: setting.nodes - setting.founders,
            with: setting.with,
            wishes: 1,
            established: !setting.cold,
            mechanisms: on,
            goal: setting.goal,
            pieces: setting.pieces,
            resend_after: setting.resend,
            ..SCOPES[0]
        };
        let mut world = World::new(&scope);
        let ear = Ear::default();
        world.listen(ear.clone());
        world.limit_frames(setting.frames);
        Ok(Model { world, ear })
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.ear.lock().expect("nobody panics").0)
    }

    fn replies(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ear.lock().expect("nobody panics").1)
    }

    fn history(&self) -> &History {
        &self.world.history
    }

    fn asked(&mut self, id: u64) {
        self.world.history.asked(id);
    }

    fn gateway_says(&mut self, node: u32, message: Message) {
        self.world.gateway_says(node, message);
    }

    fn ask(&mut self, _: u32, _: &Ask) -> Result<(), String> {
        Err(NO_GATEWAYS.into())
    }

    fn on_the_way(&mut self) -> &mut Vec<Shared<Letter>> {
        &mut self.world.network
    }

    fn read(letter: &Shared<Letter>) -> (Address, Address, &Message) {
        (Address::Node(letter.0), Address::Node(letter.1), &letter.2)
    }

    fn held(&self, node: u32) -> Vec<(Address, &Message)> {
        let held = self.world.seats[node as usize - 1].held.iter().map(dataplane::Held::content);
        held.map(|content| (content.to, &content.message)).collect()
    }

    fn deliver(&mut self, letter: Shared<Letter>) {
        self.world.deliver(&letter);
    }

    fn stray(&mut self, letter: Shared<Letter>, at: u32) {
        self.world.stray(&letter, at);
    }

    fn needs_sync(&self, node: u32) -> bool {
        self.world.unsynced(node) > 0
    }

    fn sync(&mut self, node: u32) {
        self.world.sync(node);
    }

    fn crash(&mut self, node: u32, keep: usize) -> Result<(), String> {
        self.unsynced(node, keep)?;
        self.world.crash(node, keep);
        Ok(())
    }

    fn stand_and_crash(&mut self, node: u32, above: Epoch, keep: usize) -> Result<(), String> {
        self.unsynced(node, keep)?;
        self.world.stand_and_crash(node, above, keep);
        Ok(())
    }

    fn crash_gateway(&mut self, _: u32) -> Result<(), String> {
        Err(NO_GATEWAYS.into())
    }

    fn rot(&mut self, node: u32, keep: usize) -> Result<(), String> {
        self.world.rot(node, keep);
        Ok(())
    }

    fn damage(&mut self, _: u32, _: Block, _: Harm) -> Result<(), String> {
        Err(NO_DEVICES.into())
    }

    fn wipe(&mut self, node: u32) {
        self.world.wipe(node);
    }

    fn time_passes(&mut self) {
        self.world.time_passes();
    }

    fn tick(&mut self, peer: Peer) -> Result<(), String> {
        match peer {
            Peer::Node(node) => self.world.tick(node),
            Peer::Gateway(_) => return Err(NO_GATEWAYS.into()),
        }
        Ok(())
    }

    fn observe(&mut self) {
        self.world.observe();
    }

    fn summary(&self) -> Vec<String> {
        self.world.summary()
    }

    fn readers(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The address of a node of the model.
pub(super) fn address(node: NodeId) -> Address {
    Address::Node(node)
}
