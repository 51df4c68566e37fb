//! One node's elections, with every look and every word given by hand. Signs of life are due every 50 ms, so a timeout is 300 ms.

use dataplane::{Config, Epoch, Limits, Members, Micros, NodeId, NodeStatus, Proof, RoleName, Tail, Timing};
use elections::{Elections, Words};
use node::{Extension, Look, Wish, Wishes};
use trace::{Mechanism, Mechanisms};

const MS: Micros = 1_000;
const TIMEOUT: Micros = 300 * MS;

struct Host {
    config: Config,
    elections: Elections,
    status: NodeStatus,
    heard_at: Micros,
    now: Micros,
}

impl Host {
    /// n2 of three, a backup whose log ends with entry 9 of epoch 4, started at 0 s.
    fn new() -> Host {
        let config = Config {
            me: NodeId(2),
            members: [1, 2, 3].map(NodeId).to_vec(),
            members_change: false,
            mechanisms: Mechanisms::all(),
            timing: Timing::default(),
            limits: Limits::default(),
            pid: 1,
            life: 7,
        };
        let tail = Tail { epoch: Epoch(4), seq: 9 };
        let status = NodeStatus {
            pid: 1,
            role: RoleName::Backup,
            serving: false,
            proof: Proof::Proven,
            promised: Epoch(4),
            primary: Some(NodeId(1)),
            tail,
            voted_tail: tail,
            durable: 9,
            committed: 9,
            cut_off_micros: 0,
            sync_micros: 0,
        };
        let mut host = Host { config, elections: Elections::default(), status, heard_at: 0, now: 0 };
        assert!(host.tick(0).is_empty());
        host
    }

    fn act(&mut self, act: impl FnOnce(&mut Elections, &Look, &mut Wishes)) -> Vec<Wish> {
        let (status, mut wishes) = (self.status.clone(), Wishes::default());
        let members = &Members::founded(&self.config.members);
        let progress = Vec::new();
        let (now, config, heard_at) = (self.now, &self.config, self.heard_at);
        let look = Look { now, config, members, progress, status, heard_at };
        act(&mut self.elections, &look, &mut wishes);
        wishes.list
    }

    fn tick(&mut self, now: Micros) -> Vec<Wish> {
        self.now = now;
        self.act(|elections, look, wishes| elections.tick(look, wishes))
    }

    /// Lets time pass to its own deadline, until it wishes for something.
    fn wait(&mut self) -> Vec<Wish> {
        for _ in 0..20 {
            let at = self.elections.next_deadline().expect("it always has one");
            let wishes = self.tick(at.max(self.now + 1));
            if !wishes.is_empty() {
                return wishes;
            }
        }
        panic!("it wants nothing");
    }

    fn hears(&mut self, from: u32, promised: u64, words: Words) -> Vec<Wish> {
        self.act(|elections, look, wishes| {
            let from = (NodeId(from), Epoch(promised));
            elections.hear(look, from, &words.encode(), wishes).expect("its own words")
        })
    }

    /// What it answers to n3, whose log ends there.
    fn asked(&mut self, tail: Tail) -> Words {
        match &self.hears(3, 4, Words::Ask { round: 1, tail })[..] {
            [Wish::Say(NodeId(3), words)] => Words::decode(words).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn without(mut self, mechanism: Mechanism) -> Host {
        self.config.mechanisms = self.config.mechanisms.without(mechanism);
        self
    }
}

/// The round of a question to n1 and n3.
fn round(wishes: &[Wish]) -> u64 {
    let [Wish::Say(NodeId(1), one), Wish::Say(NodeId(3), other)] = wishes else { panic!("{wishes:?}") };
    assert_eq!(one, other);
    match Words::decode(one) {
        Ok(Words::Ask { round, .. }) => round,
        other => panic!("{other:?}"),
    }
}

const LOG: Tail = Tail { epoch: Epoch(4), seq: 9 };

#[test]
fn a_node_that_hears_a_primary_waits_and_one_that_does_not_asks_before_it_stands() {
    let mut host = Host::new();
    for at in 1..40 {
        host.heard_at = at * 50 * MS;
        assert!(host.tick(at * 50 * MS).is_empty(), "it hears a primary");
    }
    let question = host.wait();
    assert!(host.now >= host.heard_at + TIMEOUT && host.now <= host.heard_at + TIMEOUT * 3 / 2);
    let round = round(&question);
    // One answer and its own vote are a majority. It stands above whatever the other has promised.
    let stands = host.hears(3, 6, Words::Grant { round, sync_micros: 0 });
    assert!(matches!(stands[..], [Wish::TakeOver(Epoch(6), _)]), "{stands:?}");
}

#[test]
fn an_answer_to_an_earlier_question_and_a_refusal_do_not_count() {
    let mut host = Host::new();
    let first = round(&host.wait());
    assert!(host.hears(1, 4, Words::Refuse { round: first }).is_empty());
    let second = round(&host.wait());
    assert_ne!(first, second);
    assert!(host.hears(3, 4, Words::Grant { round: first, sync_micros: 0 }).is_empty(), "it comes too late");
    assert!(!host.hears(3, 4, Words::Grant { round: second, sync_micros: 0 }).is_empty());
}

#[test]
fn whoever_hears_a_primary_refuses_and_its_own_questions_are_no_sign_of_one() {
    let mut host = Host::new();
    host.heard_at = 1_000 * MS;
    host.now = host.heard_at + TIMEOUT - 1;
    assert_eq!(host.asked(LOG), Words::Refuse { round: 1 });
    host.wait();
    assert_eq!(host.asked(LOG), Words::Grant { round: 1, sync_micros: 0 }, "it asks itself, and would vote");
    let mut host = Host::new().without(Mechanism::LeaderStickiness);
    host.heard_at = host.now;
    assert_eq!(host.asked(LOG), Words::Grant { round: 1, sync_micros: 0 });
}

#[test]
fn a_shorter_log_is_refused_and_so_is_everybody_by_a_voter_whose_log_is_unproven() {
    let mut host = Host::new();
    host.now = 2 * TIMEOUT;
    assert_eq!(host.asked(Tail { seq: 8, ..LOG }), Words::Refuse { round: 1 });
    assert_eq!(host.asked(Tail { epoch: Epoch(5), seq: 1 }), Words::Grant { round: 1, sync_micros: 0 });
    host.status.proof = Proof::Unproven;
    assert_eq!(host.asked(LOG), Words::Refuse { round: 1 });
    let mut host = host.without(Mechanism::PreVoteAsStrict);
    assert_eq!(host.asked(LOG), Words::Grant { round: 1, sync_micros: 0 });
}

#[test]
fn a_primary_that_no_majority_answers_steps_down_and_not_before_a_timeout() {
    let mut host = Host::new();
    (host.status.role, host.status.serving) = (RoleName::Primary, true);
    host.status.cut_off_micros = TIMEOUT - 1;
    assert!(host.tick(2_000 * MS).is_empty());
    assert_eq!(host.asked(LOG), Words::Refuse { round: 1 }, "it leads");
    host.status.cut_off_micros = TIMEOUT;
    assert_eq!(host.tick(2_001 * MS), [Wish::StepDown]);
    let mut host = host.without(Mechanism::CheckQuorum);
    assert!(host.tick(2_002 * MS).is_empty());
}

#[test]
fn a_primary_that_cannot_commit_its_marker_steps_down_although_the_others_answer() {
    let mut host = Host::new();
    (host.status.role, host.status.promised) = (RoleName::Primary, Epoch(5));
    assert!(host.tick(1_000 * MS).is_empty());
    assert!(host.tick(1_000 * MS + 4 * TIMEOUT - 4).is_empty(), "it may take a while");
    assert_eq!(host.tick(1_000 * MS + 4 * TIMEOUT), [Wish::StepDown]);
}

#[test]
fn each_candidacy_that_comes_to_nothing_lengthens_the_wait_for_the_next() {
    let mut host = Host::new();
    let mut waits = Vec::new();
    for epoch in 5..9 {
        let begun = host.now;
        let round = round(&host.wait());
        waits.push(host.now - begun);
        host.hears(1, 4, Words::Grant { round, sync_micros: 0 });
        // It stands, promises, and gives up.
        (host.status.role, host.status.promised) = (RoleName::Candidate, Epoch(epoch));
        host.tick(host.now + 1);
        host.status.role = RoleName::Backup;
        host.tick(host.now + 1);
    }
    assert!(waits.is_sorted(), "{waits:?}");
    assert!(waits[3] >= 8 * TIMEOUT, "{waits:?}");
}

#[test]
fn a_slow_disk_of_a_voter_is_waited_for() {
    let mut host = Host::new();
    let round = round(&host.wait());
    let stands = host.hears(3, 4, Words::Grant { round, sync_micros: 1_000 * MS });
    assert!(matches!(stands[..], [Wish::TakeOver(_, patience)] if patience >= 4_000 * MS), "{stands:?}");
}

#[test]
fn a_clock_that_jumps_back_makes_nobody_wait_for_as_long() {
    let mut host = Host::new();
    host.tick(60_000 * MS);
    (host.now, host.heard_at) = (1_000 * MS, 1_000 * MS);
    assert!(host.tick(host.now).is_empty());
    host.wait();
    // Half a timeout for the question that nobody answered, then a wait as any other.
    assert!(host.now <= 1_000 * MS + TIMEOUT / 2 + TIMEOUT * 3 / 2, "{}", host.now);
}
