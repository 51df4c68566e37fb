//! The network: what becomes of each message.
//!
//! It may be lost, late, doubled, overtaken, or delivered to somebody who has the address now. Cuts are counted per
//! direction, so that faults may overlap and each takes back only what it did.

use dataplane::Micros;

use crate::rng::Rng;
use crate::schedule::{Peer, Weather};

/// What the network does with one message: when it arrives, perhaps twice, perhaps never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// When it arrives.
    pub arrives: Option<Micros>,
    /// When its double arrives.
    pub again: Option<Micros>,
    /// When somebody else gets it, and a number that chooses whom.
    pub strays: Option<(Micros, u64)>,
}

/// All links.
pub struct Network {
    rng: Rng,
    nodes: usize,
    peers: usize,
    /// Per direction, how many faults cut it.
    cuts: Vec<u32>,
    /// Per direction, when the last message arrives, for networks that keep the order.
    last: Vec<Micros>,
    /// What is usual.
    pub weather: Weather,
    /// Loss and delay of the storms that rage now.
    pub storms: Vec<(u64, Micros)>,
}

impl Network {
    /// A network without cuts.
    pub fn new(rng: Rng, nodes: u32, gateways: u32, weather: Weather) -> Network {
        let peers = (nodes + gateways) as usize;
        let links = peers * peers;
        let (cuts, last) = (vec![0; links], vec![0; links]);
        Network { rng, nodes: nodes as usize, peers, cuts, last, weather, storms: Vec::new() }
    }

    fn index(&self, peer: Peer) -> usize {
        match peer {
            Peer::Node(n) => n as usize - 1,
            Peer::Gateway(g) => self.nodes + g as usize - 1,
        }
    }

    /// All processes.
    pub fn peers(&self) -> impl Iterator<Item = Peer> + use<> {
        let nodes = self.nodes;
        (0..self.peers).map(move |i| match i < nodes {
            true => Peer::Node(i as u32 + 1),
            false => Peer::Gateway((i - nodes) as u32 + 1),
        })
    }

    /// Cuts one direction, or takes one cut back.
    pub fn cut(&mut self, from: Peer, to: Peer, cut: bool) {
        let link = self.index(from) * self.peers + self.index(to);
        self.cuts[link] = if cut { self.cuts[link] + 1 } else { self.cuts[link].saturating_sub(1) };
    }

    /// Is this direction cut?
    pub fn is_cut(&self, from: Peer, to: Peer) -> bool {
        self.cuts[self.index(from) * self.peers + self.index(to)] > 0
    }

    /// Every cut and storm ends, and the weather is fair.
    pub fn heal(&mut self) {
        self.cuts.fill(0);
        self.storms.clear();
        let Weather { sync, encodes, .. } = self.weather;
        self.weather = Weather { sync, encodes, ..Weather::fair() };
    }

    /// What becomes of a message sent now.
    pub fn send(&mut self, now: Micros, from: Peer, to: Peer) -> Fate {
        let link = self.index(from) * self.peers + self.index(to);
        let mut fate = Fate::default();
        if self.cuts[link] > 0 {
            return fate;
        }
        let storm = self.storms.iter().fold((0, 0), |all, s| (all.0.max(s.0), all.1.max(s.1)));
        let weather = &self.weather;
        if !self.rng.chance(weather.loss.max(storm.0)) {
            let mut at = now + self.rng.between(weather.delay_min, weather.delay_max.max(storm.1));
            if self.rng.chance(weather.stragglers) {
                at += self.rng.below(weather.straggle_max.max(1));
            } else if !weather.reorders {
                at = at.max(self.last[link] + 1);
                self.last[link] = at;
            }
            fate.arrives = Some(at);
        }
        if self.rng.chance(weather.duplication) {
            let latest = weather.straggle_max.max(weather.delay_min);
            fate.again = Some(now + self.rng.between(weather.delay_min, latest));
        }
        if self.rng.chance(weather.misdelivery) {
            fate.strays = Some((now + weather.delay_max, self.rng.bits()));
        }
        fate
    }
}

/// Links, for a person.
pub fn links(links: &[(Peer, Peer)]) -> String {
    links.iter().map(|(from, to)| format!("{from}→{to}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_cuts_end_each_on_its_own() {
        let mut network = Network::new(Rng::stream(1, "test", 0), 3, 1, Weather::fair());
        let (a, b) = (Peer::Node(1), Peer::Gateway(1));
        network.cut(a, b, true);
        network.cut(a, b, true);
        network.cut(a, b, false);
        assert!(network.is_cut(a, b) && !network.is_cut(b, a));
        assert_eq!(network.send(0, a, b), Fate::default());
        network.cut(a, b, false);
        assert!(network.send(0, a, b).arrives.is_some());
    }

    #[test]
    fn on_a_fair_day_messages_of_one_link_arrive_in_order() {
        let mut network = Network::new(Rng::stream(2, "test", 0), 3, 1, Weather::fair());
        let arrivals: Vec<_> =
            (0..100).map(|now| network.send(now, Peer::Node(1), Peer::Node(2)).arrives.unwrap()).collect();
        assert!(arrivals.is_sorted_by(|a, b| a < b));
    }
}
