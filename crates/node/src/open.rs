//! How a node starts: as a backup, with what its device still knows.

use dataplane::{Epoch, Replica, Restored, Tail};
use engine::{Device, Engine, RecoveryReport, Standing};
use trace::Tracer;

use crate::config::{Config, OpenError};
use crate::node::Node;
use crate::tag;

impl<D: Device> Node<D> {
    /// Opens the device and starts as a backup, whatever it was before (see `dataplane::Replica`).
    pub fn open(device: D, config: Config, mut t: Tracer) -> Result<(Node<D>, RecoveryReport), OpenError> {
        t.begin(0, None);
        let (mut engine, report) =
            Engine::open(device, &config.identity(), config.rules.mechanisms).map_err(OpenError::Engine)?;
        engine.notes().for_each(|(kind, source)| t.record(kind, source));
        let replica =
            Replica::restore(config.rules.clone(), restored(&engine)?).map_err(OpenError::HostState)?;
        // Opening has synced the device (`sync-on-recovery`): what was recovered is durable.
        let mut node = Node::new(config, engine, replica, t);
        node.proof = node.durable(Some(node.engine.synced())).unwrap_or_default();
        Ok((node, report))
    }
}

/// What the rules have to know of an open device.
fn restored<D: Device>(engine: &Engine<D>) -> Result<Restored, OpenError> {
    let read_tag = |seq, tag: &[u8]| tag::tag_from_bytes(tag).map_err(|why| OpenError::Tag { seq, why });
    // Where the log ended when it still had all of its entries. A damaged one of which that cannot be told may have
    // forgotten something, and so may a device that is joining.
    let (epoch, seq) = engine.owed();
    let had = match engine.had() {
        Some((seq, tag)) => Some(Tail { epoch: read_tag(seq, tag)?.0, seq }),
        None => None,
    };
    let damaged = engine.damage().is_some();
    let proven = (!damaged || had.is_some()) && engine.standing() != Standing::Joining;
    let mut restored = Restored {
        promised: Epoch(engine.promised()),
        proven,
        owed: Tail { epoch: Epoch(epoch), seq }.max(had.unwrap_or_default()),
        damaged: damaged && proven,
        checkpoint: 0,
        host_state: Vec::new(),
        entries: Vec::new(),
    };
    // Of an unproven log nothing is used, and nothing of what damage has left no piece of a log.
    if proven && engine.is_readable_up_to_damage() {
        restored.checkpoint = engine.checkpoint_seq();
        restored.host_state = engine.host_state().to_vec();
        for seq in engine.retained_from()..=engine.last_seq() {
            restored.entries.push(read_tag(seq, engine.tag(seq).unwrap_or_default())?);
        }
    }
    Ok(restored)
}
