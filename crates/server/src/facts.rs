//! What the nodes say the cluster is, as one gateway hears it in their greetings.
//!
//! A gateway is told where the nodes are. How many shards there are it learns from them, and believes once a majority says
//! the same: a single node may have been formatted wrong, and without a majority there is no service anyway. Until then it
//! serves nothing, and while the nodes that it reaches refuse it, it tells its clients why.

use std::collections::BTreeMap;

use dataplane::NodeId;
use dataplane::guard::majority;

use crate::link::Change;

/// What each node said last.
#[derive(Clone, Debug)]
pub struct Facts {
    nodes: BTreeMap<NodeId, Change>,
}

impl Facts {
    /// Nobody has said anything.
    pub fn new<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> Facts {
        let silent = || Change::Down("it has not answered yet".into());
        Facts { nodes: nodes.into_iter().map(|node| (*node, silent())).collect() }
    }

    /// A node's link changed.
    pub fn heard(&mut self, node: NodeId, change: Change) {
        self.nodes.insert(node, change);
    }

    /// How many shards the cluster has, if a majority of its nodes says so.
    pub fn shards(&self) -> Option<u32> {
        let said = |change: &Change| match change {
            Change::Up(hello) => hello.shards,
            Change::Down(_) | Change::Refused(_) => None,
        };
        let said: Vec<u32> = self.nodes.values().filter_map(said).collect();
        let agree = |n: u32| said.iter().filter(|said| **said == n).count();
        said.iter().copied().find(|n| agree(*n) >= majority(self.nodes.len()))
    }

    /// The extensions that the cluster was founded with, as the nodes say: of those that disagree, none serve together.
    pub fn extensions(&self) -> Vec<String> {
        let said = |change: &Change| match change {
            Change::Up(hello) => hello.extensions.clone(),
            Change::Down(_) | Change::Refused(_) => None,
        };
        let names = self.nodes.values().find_map(said).unwrap_or_default();
        let names = String::from_utf8_lossy(&names).into_owned();
        names.split(',').filter(|name| !name.is_empty()).map(String::from).collect()
    }

    /// What each node that is connected runs: the version of the protocol that it speaks with this gateway, and the program
    /// as it calls itself, if it says so.
    pub fn programs(&self) -> impl Iterator<Item = (NodeId, u32, Option<String>)> {
        self.nodes.iter().filter_map(|(node, change)| match change {
            Change::Up(hello) => Some((*node, hello.version, hello.program_named())),
            Change::Down(_) | Change::Refused(_) => None,
        })
    }

    /// The nodes that refuse this gateway, or that it refuses, with the reasons.
    pub fn refusals(&self) -> impl Iterator<Item = (NodeId, &str)> {
        self.nodes.iter().filter_map(|(node, change)| match change {
            Change::Refused(why) => Some((*node, why.as_str())),
            Change::Up(_) | Change::Down(_) => None,
        })
    }

    /// Why this gateway must not serve: of the nodes that it reaches, more refuse it than agree with it.
    pub fn refused(&self) -> Option<String> {
        let (node, why) = self.refusals().next()?;
        let up = self.nodes.values().filter(|change| matches!(change, Change::Up(_))).count();
        (self.refusals().count() > up)
            .then(|| format!("this gateway does not fit the cluster, says the connection to {node}: {why}"))
    }

    /// What keeps it from knowing the number of shards, for people.
    pub fn missing(&self) -> String {
        let state = |(node, change): (&NodeId, &Change)| match change {
            Change::Up(hello) => format!("{node}: {} shard(s)", hello.shards.unwrap_or_default()),
            Change::Down(why) | Change::Refused(why) => format!("{node}: {why}"),
        };
        let states: Vec<_> = self.nodes.iter().map(state).collect();
        format!(
            "this gateway waits for a majority of the nodes to say how many shards there are; {}",
            states.join("; ")
        )
    }
}

#[cfg(test)]
mod tests {
    use dataplane::{Address, GatewayId};

    use super::*;
    use crate::hello::Hello;

    fn up(shards: u32) -> Change {
        let (from, to) = (Address::Node(NodeId(1)), Address::Gateway(GatewayId { gateway: 1, life: 1 }));
        let (members, extensions) = (Vec::new(), Some(b"elections"[..].into()));
        Change::Up(Hello {
            version: crate::hello::VERSION,
            program: crate::hello::program(),
            cluster: [0; 16],
            images: None,
            from,
            to,
            shard: 0,
            shards: Some(shards),
            members,
            extensions,
        })
    }

    fn facts(said: [Change; 3]) -> Facts {
        Facts { nodes: (1..).map(NodeId).zip(said).collect() }
    }

    #[test]
    fn the_number_of_shards_is_what_a_majority_says_and_not_what_the_first_one_says() {
        let (down, refused) = (|| Change::Down("no".into()), || Change::Refused("no".into()));
        assert_eq!(facts([down(), down(), up(2)]).shards(), None);
        assert_eq!(facts([up(1), down(), up(2)]).shards(), None);
        assert_eq!(facts([up(1), up(2), up(2)]).shards(), Some(2));
        assert_eq!(facts([down(), up(2), up(2)]).extensions(), ["elections"]);
        assert_eq!(facts([up(2), refused(), up(2)]).shards(), Some(2));
    }

    #[test]
    fn a_gateway_is_refused_by_more_than_agree_with_it_whoever_is_down() {
        let (down, refused) = (|| Change::Down("no".into()), || Change::Refused("no".into()));
        assert_eq!(facts([down(), down(), down()]).refused(), None);
        assert_eq!(facts([up(1), down(), refused()]).refused(), None, "the third may be the wrong one");
        assert!(facts([down(), down(), refused()]).refused().is_some());
        assert!(facts([up(1), refused(), refused()]).refused().is_some());
    }
}
