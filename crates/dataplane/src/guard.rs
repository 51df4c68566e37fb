//! Every mechanism of the cluster, as one function that can be switched off.
//!
//! A guard takes the facts and returns the decision; the switch is read here and nowhere else. Above each stands the
//! schedule that it prevents.

use trace::{Mechanism as M, Mechanisms};

use crate::durable::{Appended, Durable};
use crate::host::Fits;
use crate::message::Frame;
use crate::types::*;

/// `epoch-fence`: may a message of `epoch` be listened to?
///
/// Without it: (1) n1 leads epoch 1 and is paused; (2) n2 and n3 promise epoch 2, n2 commits x=2; (3) n1 wakes and
/// replicates x=3 in epoch 1; (4) n3 appends and acknowledges; (5) two clients were told two truths.
pub fn epoch_fence(on: Mechanisms, promised: Epoch, epoch: Epoch) -> bool {
    !on.stops(M::EpochFence, epoch < promised)
}

/// `one-candidate-per-epoch`: may `asked` be promised?
///
/// Without it: (1) n1 and n2 both stand for epoch 2; (2) n3 promises it to n1, then to n2; (3) both have a majority, and
/// one epoch has two primaries that give one seq two contents.
pub fn one_candidate_per_epoch(on: Mechanisms, promised: Epoch, asked: Epoch) -> bool {
    asked >= promised && !on.stops(M::OneCandidatePerEpoch, asked == promised)
}

/// `durable-promise`: must the promise be on the device before it is answered?
///
/// Without it: (1) n3 promises epoch 2 to n2; (2) n3 loses power and forgets; (3) n3 acknowledges an entry of n1 in
/// epoch 1, which n2, leading epoch 2 by n3's promise, does not have.
pub fn durable_promise(on: Mechanisms) -> bool {
    on.stops(M::DurablePromise, true)
}

/// `promise-majority`: do `have` of `members` promises make a primary?
///
/// Without it a candidate leads by its own promise: two partitions get two primaries.
pub fn promise_majority(on: Mechanisms, have: usize, members: usize) -> bool {
    have >= 1 && !on.stops(M::PromiseMajority, have < majority(members))
}

/// `tail-with-promise`: the log tail that answers a promise.
///
/// Without it the tail is the one last reported, before the promise: (1) n2 reports a tail at 5; (2) n1 commits 6 with
/// n2; (3) n2 promises to n3, which compares itself with 5 and leads without entry 6.
pub fn tail_with_promise(on: Mechanisms, now: Tail, reported_before: Tail) -> Tail {
    if on.stops(M::TailWithPromise, now != reported_before) { now } else { reported_before }
}

/// `most-complete-log`: does a promiser with log `theirs` support a candidate with log `own`?
///
/// Without it: (1) n1 commits entry 5 with n2; (2) n1 dies, n3 (log up to 4) gets n2's promise; (3) n3 writes another
/// entry 5: the acknowledged one is lost.
pub fn most_complete_log(on: Mechanisms, own: Tail, theirs: Tail) -> bool {
    !on.stops(M::MostCompleteLog, own < theirs)
}

/// `majority-commit`: how far is the log durable on enough replicas? `durable` holds each replica's mark, the
/// primary's own first.
///
/// The primary is always one of the counted: it answers from its own state, so that must not be ahead of its log.
/// Without the majority the primary counts alone, and its entry dies with it.
pub fn majority_commit(on: Mechanisms, durable: &[Seq]) -> Seq {
    let (own, counted) = (durable[0], majority_mark(durable));
    if on.stops(M::MajorityCommit, own > counted) { counted } else { own }
}

/// `durable-ack`: what may be spoken of as durable, after a sync (`synced` is its receipt) or before one (`None`), where the
/// device has taken so much.
///
/// See [`crate::durable`] for the schedule.
pub fn durable_ack<R: Receipt>(on: Mechanisms, synced: Option<&R>, appended: Appended) -> Option<Durable> {
    let proof = synced.map(Durable::of);
    let hoped = Durable::hoped(appended);
    if on.stops(M::DurableAck, proof != Some(hoped)) { proof } else { Some(hoped) }
}

/// `log-matching`: may entries be appended behind `prev`, where the own log has an entry of epoch `own` (`None`: it has
/// no such entry)?
///
/// Without it: a backup that missed entry 4 appends entry 5 in its place, acknowledges 5, and has a hole or another
/// content where the majority was counted.
pub fn log_matching(on: Mechanisms, own: Option<Epoch>, prev: Tail) -> bool {
    !on.stops(M::LogMatching, own != Some(prev.epoch))
}

/// `truncate-on-conflict`: does an entry of another epoch at the same seq have to go?
///
/// Without it: (1) n1 appends 5a alone and dies; (2) n2 commits 5b with n3; (3) n1 comes back, keeps 5a, acknowledges
/// 5b, and leads one day with 5a.
pub fn truncate_on_conflict(on: Mechanisms) -> bool {
    on.stops(M::TruncateOnConflict, true)
}

/// `truncate-only-on-conflict`: from where must the log be cut, if the first conflicting entry is `conflict` and the
/// message speaks of the log behind `prev`?
///
/// Without it: (1) a backup has acknowledged 4 and 5; (2) a late copy of the message with 4 arrives; (3) the backup cuts
/// after 4, and 5, counted for the majority, is gone.
pub fn truncate_only_on_conflict(on: Mechanisms, conflict: Option<Seq>, prev: Seq, last: Seq) -> Option<Seq> {
    let all_behind = Some(prev + 1).filter(|from| *from <= last);
    if on.stops(M::TruncateOnlyOnConflict, conflict != all_behind) { conflict } else { all_behind }
}

/// `commit-within-match`: how far a backup may commit, told `commit`, knowing that its log matches up to `matched`.
///
/// Without it: (1) a backup has an uncommitted 5a of an old epoch; (2) an empty message that matches at 3 says "5 is
/// committed"; (3) the backup applies 5a where the majority has 5b.
pub fn commit_within_match(on: Mechanisms, commit: Seq, matched: Seq, last: Seq) -> Seq {
    let told = commit.min(last);
    if on.stops(M::CommitWithinMatch, told > matched) { matched } else { told }
}

/// `own-epoch-commit`: may the entry at the counted mark be committed by counting?
///
/// Without it (Raft, section 5.4.2, figure 8): (1) an entry of epoch 2 reaches a majority in epoch 4 and is answered;
/// (2) a replica that missed it, but has an entry of epoch 3, is the more complete one, leads epoch 5 and removes it.
pub fn own_epoch_commit(on: Mechanisms, entry: Option<Epoch>, current: Epoch) -> bool {
    !on.stops(M::OwnEpochCommit, entry != Some(current))
}

/// `ack-bound-to-epoch`: does an acknowledgement of `acked` count in epoch `current`?
///
/// Without it: (1) n3 acknowledges 5a in epoch 1, the frame is slow; (2) n3's 5a is removed in epoch 2; (3) n1 leads
/// epoch 3 with its own 5, counts the old frame, and answers with a majority that does not exist.
pub fn ack_bound_to_epoch(on: Mechanisms, acked: Epoch, current: Epoch) -> bool {
    acked <= current && !on.stops(M::AckBoundToEpoch, acked < current)
}

/// `unproven-log-does-not-vote`: may this replica promise and acknowledge?
///
/// Without it: (1) n1 commits 5 with n2; (2) n2's disk is replaced by an empty one; (3) n2 promises to n3, whose empty
/// log is complete enough for the two of them.
pub fn unproven_log_does_not_vote(on: Mechanisms, proven: bool) -> bool {
    !on.stops(M::UnprovenLogDoesNotVote, !proven)
}

/// `transfer-reach`: may a state that ends with entry `base` be sent to a replica that has forgotten something, if the
/// primary's first entry after the transfer began is `reach`?
///
/// Without it: (1) n1 leads epoch 1 and is cut off; n2 leads epoch 2 with n3, and commits; (2) n3's disk is replaced, and
/// n1 fills it; (3) n3 votes again, in epoch 1, and with n1 commits another entry at the same seq.
pub fn transfer_reach(on: Mechanisms, base: Seq, reach: Seq) -> bool {
    !on.stops(M::TransferReach, base < reach)
}

/// `apply-only-committed`: how far may a replica apply?
///
/// Without it a read shows a value that a takeover then removes.
pub fn apply_only_committed(on: Mechanisms, commit: Seq, last: Seq) -> Seq {
    if on.stops(M::ApplyOnlyCommitted, last > commit) { commit } else { last }
}

/// `read-confirmation`: must a read wait until a majority has confirmed the epoch?
///
/// Without it a paused primary that wakes up answers from the past, after its successor has acknowledged newer writes.
pub fn read_confirmation(on: Mechanisms) -> bool {
    on.stops(M::ReadConfirmation, true)
}

/// `request-dedup`: must an entry whose request has taken effect already be skipped?
///
/// Without it: (1) a put is committed, its answer is lost; (2) another client overwrites the value; (3) the gateway
/// sends the put again, and the old value is back.
pub fn request_dedup(on: Mechanisms, seen: bool) -> bool {
    on.stops(M::RequestDedup, seen)
}

/// `dedup-survives-failover`: does this replica note the results of what it applies?
///
/// Without it only the primary does: after a failover the new one knows no request, and the retry takes effect again.
pub fn dedup_survives_failover(on: Mechanisms, primary: bool) -> bool {
    primary || on.stops(M::DedupSurvivesFailover, true)
}

/// `atomic-state-transfer`: may a state be used after the chunk `last_chunk` says?
///
/// Without it a receiver counts as proven from the first piece on, and can be elected with half a state.
pub fn atomic_state_transfer(on: Mechanisms, last_chunk: bool) -> bool {
    !on.stops(M::AtomicStateTransfer, !last_chunk)
}

/// `epoch-marker`: does a new primary append an entry of its own, and serve only once that is committed?
///
/// Without it: (1) n1 commits 3 with n2, answers, and dies before it tells n2; (2) n2 leads epoch 2, has 3, and does not
/// know that it is committed; (3) it answers a read from what it has applied: without 3.
pub fn epoch_marker(on: Mechanisms) -> bool {
    on.stops(M::EpochMarker, true)
}

/// `admission-by-size`: how many of the `wanted` entries that a message brings may be appended, if those of `fits` have room
/// on the device?
///
/// Without it: (1) a client's put is longer than what is left of the device; (2) the primary orders it and sends it on;
/// (3) its own engine cannot append it, and the node stops; (4) the backups stop at the same entry, which is in the log of
/// the next primary as well.
pub fn admission_by_size(on: Mechanisms, fits: Fits, wanted: usize) -> Fits {
    let short = fits.never || fits.entries < wanted;
    if on.stops(M::AdmissionBySize, short) { fits } else { Fits { entries: wanted, never: false } }
}

/// `epoch-bound`: can `epoch` be true, where `seen` is the greatest epoch known? A takeover picks the next one, which must
/// be possible as well.
///
/// Without it: (1) one frame asks for the greatest epoch of all; (2) the promise becomes durable; (3) no greater epoch can
/// ever be promised, and the shard never has a primary again.
pub fn epoch_bound(on: Mechanisms, seen: Epoch, epoch: Epoch) -> bool {
    let most = seen.0.saturating_add(EPOCH_JUMP_MAX).min(COUNTER_MAX);
    !on.stops(M::EpochBound, epoch.0 >= most - 1)
}

/// `transfer-name`: what a transfer is called, of a replica that has begun `begun` of them in the life named by the random
/// number `life`.
///
/// A clock would not do, nor a count alone. Without the life: (1) a transfer to a disk that was replaced is the first of
/// its process; (2) entries are acknowledged, the disk is replaced again, and the next process begins its first transfer
/// as well; (3) the primary takes it for the one that it knows, and sends a state from before those entries; (4) the
/// replica votes without them.
pub fn transfer_name(on: Mechanisms, life: u64, begun: u64) -> u64 {
    if on.stops(M::TransferName, life ^ begun != begun) { life ^ begun } else { begun }
}

/// `config-when-appended`: up to which entry are the changes of the members in effect, of a log that ends at `last` and is
/// applied up to `applied`?
///
/// Without it: (1) n1 leads n1, n2 and n3, adds n4 and then n5, and commits each; (2) n2 has both entries, but has not been
/// told that they are committed: it still counts three; (3) n2 leads with the promise of n3, two of three, while n1 commits
/// with n4 and n5, three of five.
pub fn config_when_appended(on: Mechanisms, last: Seq, applied: Seq) -> Seq {
    if on.stops(M::ConfigWhenAppended, applied < last) { last } else { applied }
}

/// `members-in-state`: does a state say who the members are, if they are others than the founders (`changed`)?
///
/// Without it: (1) five become three: n4 and n5 are removed; (2) n3 gets the state of n1, and with it none of those entries;
/// (3) n3 counts five, and leads with n4 and n5, while n1 commits with n2.
pub fn members_in_state(on: Mechanisms, changed: bool) -> bool {
    on.stops(M::MembersInState, changed)
}

/// `removed-does-not-count`: does a primary count its own log, which is one of the members (`votes`), or was removed?
///
/// Without it: (1) n1 leads four and removes itself: n2, n3 and n4 are left, and two of them are a majority; (2) it counts
/// itself and n2 for a write, and answers; (3) n4 leads with n3, two of three, without that write.
pub fn removed_does_not_count(on: Mechanisms, votes: bool) -> bool {
    !on.stops(M::RemovedDoesNotCount, !votes)
}

/// `backpressure`: is there room for another entry when `waiting` are not applied yet?
///
/// Without it a primary whose backups are slow keeps everything in memory that it is sent.
pub fn backpressure(on: Mechanisms, waiting: u64, max: u64) -> bool {
    !on.stops(M::Backpressure, waiting >= max)
}

/// `frame-identity`: is this frame meant for `me` in this cluster and shard?
///
/// Without it an address reused by another cluster, or a node started on another's disk, counts as a vote.
pub fn frame_identity(
    on: Mechanisms,
    frame: &Frame,
    cluster: &ClusterId,
    shard: ShardId,
    me: Address,
) -> bool {
    let foreign = frame.cluster != *cluster || frame.shard != shard || frame.to != me;
    !on.stops(M::FrameIdentity, foreign)
}

/// What a majority has reached, of the marks of all members.
pub fn majority_mark(marks: &[u64]) -> u64 {
    let mut marks = marks.to_vec();
    marks.sort_unstable_by(|a, b| b.cmp(a));
    marks[majority(marks.len()) - 1]
}

/// The smallest number of replicas of which any two sets share one.
pub fn majority(members: usize) -> usize {
    members / 2 + 1
}
