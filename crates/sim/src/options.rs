//! What a run consists of.

use extensions::Chosen;
use trace::Mechanism;

/// What a run consists of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Storage nodes: 3 or 5. Where members change, the first three found the cluster.
    pub nodes: u32,
    /// Shards.
    pub shards: u32,
    /// Gateways.
    pub gateways: u32,
    /// Clients.
    pub clients: u32,
    /// Operations of all clients together.
    pub operations: u32,
    /// At least so many faults; up to ten more are drawn.
    pub faults_min: u32,
    /// What the cluster was founded with beside the core.
    pub with: Chosen,
    /// No gateway ever asks a node to take over.
    pub passive_gateways: bool,
    /// Mechanisms that are switched off.
    pub without: Vec<Mechanism>,
    /// Record the trace.
    pub trace: bool,
    /// Count what it comes across.
    pub coverage: bool,
}

impl Options {
    /// So many nodes found the cluster; the others have empty disks, and may be added.
    pub fn founders(&self) -> u32 {
        if self.with.changes_members() { self.nodes.min(3) } else { self.nodes }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            nodes: 3,
            shards: 1,
            gateways: 2,
            clients: 4,
            operations: 200,
            faults_min: 6,
            with: Chosen::NONE,
            passive_gateways: false,
            without: Vec::new(),
            trace: false,
            coverage: false,
        }
    }
}
