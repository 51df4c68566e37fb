------------------------------ MODULE Cutaway ------------------------------
\* One shard of Cutaway: promises, takeover, log, commit, acknowledgement, reads, transfer, sessions.
\*
\* Each mechanism is one clause, a definition with its id in CamelCase: `epoch-fence` is EpochFence. `Without` names the
\* mechanisms that are taken out; the code runs with all of them.
\*
\* Abstracted, and why that is sound:
\* - The network. `said` holds what was ever said; a message that is lost is one that nobody hears, and a late or
\*   duplicated one is heard late or twice. A primary's messages are pieces of its log, so `said.leads` keeps one record
\*   per primary and epoch: the log, the commit point and the read round as of now. A Prepare is any piece of it, with
\*   any commit point up to that one: that includes every frame the code sends, whatever its size, order and age.
\* - Time. A timer may expire at any moment, so it is no guard of any action.
\* - Values and conditions. An entry is its epoch and the request that it carries (0: marker, or the opening of a
\*   session). What an operation comes to is a function of the log up to it.
\* - The checkpoint. The log keeps what is before it; `base` says how far it reaches. A restart goes back to it.
\* - The device. `disk` is the set of logs that a crash may leave: what Device.tla promises. It may leave any of those
\*   since the last sync; the engine, which counts a batch whole, leaves one of two.
\* - Windows and evictions of sessions. Whoever falls out is refused, which takes no effect.
EXTENDS Naturals, Sequences, FiniteSets
CONSTANTS Node, Without
VARIABLES
  at,      \* at[n]: one replica, memory and device
  said,    \* what was ever said: [stands, mail, leads, pulls, states]
  client   \* what clients know and ask, and what was ever committed: only invariants and replies read it
vars == <<at, said, client>>

On(id) == id \notin Without
Max(a, b) == IF a < b THEN b ELSE a
Min(a, b) == IF a < b THEN a ELSE b
IsMajority(set) == 2 * Cardinality(set) > Cardinality(Node)

\* Where a log ends: by the epoch of the last entry, then by its seq.
TailOf(l) == [epoch |-> IF l = <<>> THEN 0 ELSE l[Len(l)].epoch, seq |-> Len(l)]
AtMost(a, b) == a.epoch < b.epoch \/ (a.epoch = b.epoch /\ a.seq <= b.seq)
\* Where the log of n ends, or ended before it lost entries (dataplane/src/owed.rs).
VotedTail(n) == IF AtMost(at[n].owed, TailOf(at[n].log)) THEN TailOf(at[n].log) ELSE at[n].owed

\* Have the two logs the same entry at s? By induction then all before it is the same too (Raft's log matching).
Same(a, b, s) == IF s = 0 THEN TRUE ELSE s <= Len(a) /\ s <= Len(b) /\ a[s].epoch = b[s].epoch
Requests(l, upto) == {l[s].request : s \in 1..upto} \ {0}
\* A primary serves once it has applied an entry of its own epoch.
Marked(n) == \E s \in 1..at[n].applied : at[n].log[s].epoch = at[n].promise
Synced(n) == at[n].disk = {at[n].log}
Is(n, role) == at[n].role = role
NoFetch == [by |-> 0, epoch |-> 0, name |-> 0]
Blank(proven) == [
  promise |-> 0,            \* the greatest epoch promised or followed
  stored |-> 0,             \* the promise on the device
  role |-> "backup", proven |-> proven,
  owed |-> TailOf(<<>>),    \* where the log ended before it lost entries
  log |-> <<>>, disk |-> {<<>>},
  durable |-> 0, commit |-> 0, applied |-> 0, base |-> 0,
  votes |-> {},             \* a candidate's: who promised, and where their logs end
  match |-> [m \in Node |-> 0],  \* a primary's: up to where each log is durable and the same
  held |-> {},              \* what waits for a sync, or for the promise, before it is said
  took |-> {}, answered |-> {}, \* requests that took effect; those that did so here, as primary
  reported |-> TailOf(<<>>),\* the tail in the last status
  fetch |-> NoFetch]        \* the transfer that it waits for

\* No longer candidate or primary.
Backup(r) == [r EXCEPT !.role = "backup", !.votes = {}, !.match = [m \in Node |-> 0]]

Init ==
  /\ at = [n \in Node |-> Blank(TRUE)]
  /\ said = [stands |-> {}, mail |-> {}, leads |-> {}, pulls |-> {}, states |-> {}]
  /\ client = [committed |-> <<>>, shown |-> {}, reads |-> {}, stale |-> FALSE, twice |-> FALSE, wiped |-> {}]

\* The clauses.
\* epoch-fence
EpochFence(n, epoch) == On("epoch-fence") => epoch >= at[n].promise
\* one-candidate-per-epoch
OneCandidatePerEpoch(n, epoch) ==
  epoch >= at[n].promise /\ (On("one-candidate-per-epoch") => epoch > at[n].promise)
\* durable-promise
DurablePromise(n, epoch) == On("durable-promise") => epoch <= at[n].stored
\* promise-majority
PromiseMajority(votes) ==
  LET from == {v.from : v \in votes} IN IF On("promise-majority") THEN IsMajority(from) ELSE from # {}
\* tail-with-promise
TailWithPromise(n, tail) == tail = VotedTail(n) \/ (~On("tail-with-promise") /\ tail = at[n].reported)
\* most-complete-log: whose log is more complete does not support the candidate.
MostCompleteLog(n) ==
  On("most-complete-log") => PromiseMajority({v \in at[n].votes : AtMost(v.tail, TailOf(at[n].log))})
\* majority-commit: the primary is one of the majority, for it answers from its own state.
MajorityCommit(n, s) ==
  /\ at[n].durable >= s
  /\ On("majority-commit") => IsMajority({n} \cup {m \in Node : at[n].match[m] >= s})
\* durable-ack
DurableAck(m) == On("durable-ack") => m.synced
\* log-matching
LogMatching(n, l, prev) == On("log-matching") => Same(at[n].log, l.log, prev)
\* truncate-on-conflict: of the entries behind prev, which match, none is kept that contradicts those of the primary.
TruncateOnConflict(l, kept, prev, s) ==
  On("truncate-on-conflict") => \A i \in prev + 1..Min(s, Len(kept)) : Same(kept, l.log, i)
\* truncate-only-on-conflict
TruncateOnlyOnConflict(n, l, cut) ==
  On("truncate-only-on-conflict") /\ cut > 0 => cut <= Len(l.log) /\ ~Same(at[n].log, l.log, cut)
\* commit-within-match
CommitWithinMatch(n, c, matched) == On("commit-within-match") => c <= Max(at[n].commit, matched)
\* own-epoch-commit
OwnEpochCommit(n, s) == On("own-epoch-commit") => at[n].log[s].epoch = at[n].promise
\* ack-bound-to-epoch
AckBoundToEpoch(n, m) == m.epoch <= at[n].promise /\ (On("ack-bound-to-epoch") => m.epoch = at[n].promise)
\* unproven-log-does-not-vote
UnprovenLogDoesNotVote(n) == On("unproven-log-does-not-vote") => at[n].proven
\* transfer-reach: the state has an entry that was appended after the transfer began.
TransferReach(q, s) == On("transfer-reach") /\ q.unproven => s > q.after
\* transfer-name: a state answers the transfer that asked for it, and not an earlier one.
TransferName(n, m) == On("transfer-name") => m.name = at[n].fetch.name
\* atomic-state-transfer: half a state is one that lacks what some entry did.
Halves(l) == {[l EXCEPT ![s].request = 0] : s \in 1..Len(l)}
AtomicStateTransfer(state, l) == l = state \/ (~On("atomic-state-transfer") /\ l \in Halves(state))
\* apply-only-committed
ApplyOnlyCommitted(n, s) == On("apply-only-committed") => s <= at[n].commit
\* read-confirmation: a majority has confirmed the epoch in a round that began after the read arrived.
ReadConfirmation(n, q) ==
  On("read-confirmation") => IsMajority({n} \cup {m.from : m \in
    {x \in said.mail : x.kind = "Confirmed" /\ x.to = n /\ x.epoch = q.epoch /\ x.tail.seq >= q.round}})
\* epoch-marker
EpochMarker(n) == On("epoch-marker") => Marked(n)
\* request-dedup: what took effect is remembered,
RequestDedup(n, request) == On("request-dedup") => request \notin at[n].answered
\* dedup-survives-failover: not only by who was primary then.
DedupSurvivesFailover(n, request) ==
  On("request-dedup") /\ On("dedup-survives-failover") => request \notin at[n].took \ at[n].answered
\* frame-identity
FrameIdentity(n, m) == On("frame-identity") => m.to = n
\* no-role-survives
NoRoleSurvives(n) == IF On("no-role-survives") THEN "backup" ELSE at[n].role

\* Takeover.
Hold(n, kind, to, epoch, tail, synced) ==
  [kind |-> kind, from |-> n, to |-> to, epoch |-> epoch, tail |-> tail, synced |-> synced]

\* TakeOver arrives: n stands for an epoch, gives itself its promise, and asks the others (PromiseRequest).
Stand(n, epoch) ==
  /\ UnprovenLogDoesNotVote(n)
  /\ Is(n, "backup")
  /\ AtMost(at[n].owed, TailOf(at[n].log))  \* nobody leads who lacks what it had
  /\ epoch > at[n].promise
  /\ at' = [at EXCEPT ![n].role = "candidate", ![n].promise = epoch,
                      ![n].votes = {[from |-> n, tail |-> TailOf(at[n].log)]}]
  /\ said' = [said EXCEPT !.stands = @ \cup {[by |-> n, epoch |-> epoch]}] /\ UNCHANGED client

\* PromiseRequest arrives: n promises, and steps down from whatever it was.
GrantPromise(n, c, tail) ==
  /\ c \in said.stands /\ c.by # n
  /\ UnprovenLogDoesNotVote(n)
  /\ OneCandidatePerEpoch(n, c.epoch)
  /\ TailWithPromise(n, tail)
  /\ at' = [at EXCEPT ![n] = [Backup(at[n]) EXCEPT !.promise = c.epoch,
       !.held = @ \cup {Hold(n, "Promised", c.by, c.epoch, tail, Synced(n))}]] /\ UNCHANGED <<said, client>>

\* Effect::Promise: the promise is on the device.
StorePromise(n) == at' = [at EXCEPT ![n].stored = Max(@, at[n].promise)] /\ UNCHANGED <<said, client>>

\* Held::release: what waited may be said (Promised, PrepareOk).
Release(n, m) ==
  /\ m \in at[n].held
  /\ DurablePromise(n, m.epoch)
  /\ DurableAck(m)
  /\ at' = [at EXCEPT ![n].held = @ \ {m}]
  /\ said' = [said EXCEPT !.mail = @ \cup {[m EXCEPT !.synced = TRUE]}] /\ UNCHANGED client

\* Promised arrives. The candidate's own promise is durable before it counts any other.
CountPromise(n, m) ==
  /\ m \in said.mail /\ m.kind = "Promised"
  /\ FrameIdentity(n, m)
  /\ Is(n, "candidate") /\ m.epoch = at[n].promise
  /\ DurablePromise(n, m.epoch)
  /\ at' = [at EXCEPT ![n].votes = @ \cup {[from |-> m.from, tail |-> m.tail]}] /\ UNCHANGED <<said, client>>

\* A majority supports the candidate: it is primary.
Lead(n) == [by |-> n, epoch |-> at[n].promise, log |-> at[n].log, commit |-> at[n].commit, round |-> 0]
Elect(n) ==
  /\ Is(n, "candidate")
  /\ PromiseMajority(at[n].votes) /\ MostCompleteLog(n)
  /\ at' = [at EXCEPT ![n].role = "primary", ![n].votes = {}]
  /\ said' = [said EXCEPT !.leads = @ \cup {Lead(n)}] /\ UNCHANGED client

\* A greater epoch exists, or patience ends. Always allowed: it takes nothing but service.
StepDown(n) ==
  /\ at' = [at EXCEPT ![n] = Backup(at[n])] /\ UNCHANGED <<said, client>>

\* The primary.
Own(n, l) == l.by = n /\ l.epoch = at[n].promise
AppendOwn(n, request) ==
  LET grown == Append(at[n].log, [epoch |-> at[n].promise, request |-> request]) IN
  /\ at' = [at EXCEPT ![n].log = grown, ![n].disk = @ \cup {grown}]
  /\ said' = [said EXCEPT !.leads = {IF Own(n, l) THEN [l EXCEPT !.log = grown] ELSE l : l \in @}] /\ UNCHANGED client

\* The marker of an epoch, the opening of a session, the entry that a transfer must include.
AppendMarker(n) == Is(n, "primary") /\ AppendOwn(n, 0)

\* Write arrives: it is refused, answered from memory, or appended. One that waits in the log is not appended twice.
Write(n, request) ==
  /\ Is(n, "primary") /\ EpochMarker(n)
  /\ RequestDedup(n, request) /\ DedupSurvivesFailover(n, request)
  /\ \A s \in at[n].applied + 1..Len(at[n].log) : at[n].log[s].request # request
  /\ AppendOwn(n, request)

\* PrepareOk arrives.
CountAck(n, m) ==
  /\ m \in said.mail /\ m.kind = "PrepareOk"
  /\ FrameIdentity(n, m)
  /\ Is(n, "primary")
  /\ AckBoundToEpoch(n, m)
  /\ m.tail.seq <= Len(at[n].log)
  /\ at' = [at EXCEPT ![n].match[m.from] = Max(@, m.tail.seq)] /\ UNCHANGED <<said, client>>

\* What anybody commits is committed for ever.
Committed(l, s) ==
  LET known == Len(client.committed) IN
  IF s <= known THEN client.committed ELSE client.committed \o SubSeq(l, known + 1, s)

CommitByCount(n, s) ==
  /\ Is(n, "primary") /\ s \in at[n].commit + 1..Len(at[n].log)
  /\ MajorityCommit(n, s) /\ OwnEpochCommit(n, s)
  /\ at' = [at EXCEPT ![n].commit = s]
  /\ said' = [said EXCEPT !.leads = {IF Own(n, l) THEN [l EXCEPT !.commit = s] ELSE l : l \in @}]
  /\ client' = [client EXCEPT !.committed = Committed(at[n].log, s)]

\* Write arrives again: a client learns what became of the entry at s.
Shown(n, s) == [seq |-> s, entry |-> at[n].log[s], epoch |-> at[n].promise]
Answer(n, s) ==
  /\ Is(n, "primary") /\ s \in 1..at[n].applied
  /\ client' = [client EXCEPT !.shown = @ \cup {Shown(n, s)}] /\ UNCHANGED <<at, said>>

\* The backup. `l` is what the primary of an epoch says; whatever it says begins with Follow.

\* A greater epoch is promised before anything is done in it, but by an unproven replica not before its transfer is done.
Adopted(n, epoch) == IF at[n].proven THEN Max(at[n].promise, epoch) ELSE at[n].promise
Follow(n, l) ==
  /\ l \in said.leads /\ l.by # n /\ EpochFence(n, l.epoch)
  /\ at' = [at EXCEPT ![n] = [Backup(at[n]) EXCEPT !.promise = Adopted(n, l.epoch)]] /\ UNCHANGED <<said, client>>

\* Prepare arrives: entries behind prev up to s, commit point c. What contradicts them goes, from `cut` on (0: nothing);
\* those that are missing are appended. PrepareOk says so once that is durable.
Prepare(n, l, prev, s, cut, c) ==
  LET old  == at[n].log
      kept == IF cut = 0 THEN old ELSE SubSeq(old, 1, cut - 1)
      new  == IF s <= Len(kept) THEN kept ELSE kept \o SubSeq(l.log, Len(kept) + 1, s) IN
  /\ l \in said.leads /\ l.by # n /\ EpochFence(n, l.epoch) /\ UnprovenLogDoesNotVote(n)
  /\ prev <= s /\ s <= Len(l.log)
  /\ LogMatching(n, l, prev)
  /\ cut > 0 => cut \in prev + 1..Len(old)
  /\ TruncateOnlyOnConflict(n, l, cut)
  /\ TruncateOnConflict(l, kept, prev, s)
  /\ CommitWithinMatch(n, c, s)
  /\ c = at[n].commit \/ c \in at[n].commit + 1..Min(l.commit, Len(new))
  /\ at' = [at EXCEPT ![n] = [Backup(at[n]) EXCEPT !.promise = Adopted(n, l.epoch),
       !.log = new, !.commit = c, !.durable = Min(@, Len(kept)),
       !.disk = @ \cup {kept} \cup {SubSeq(new, 1, i) : i \in Len(kept) + 1..Len(new)},
       !.held = @ \cup {Hold(n, "PrepareOk", l.by, l.epoch, [epoch |-> 0, seq |-> s], at[n].disk = {new})}]]
  /\ client' = [client EXCEPT !.committed = Committed(new, c)] /\ UNCHANGED said

\* Confirm arrives: n has promised nothing beyond this epoch (Confirmed).
Confirm(n, l, round) ==
  /\ l \in said.leads /\ l.by # n /\ EpochFence(n, l.epoch) /\ UnprovenLogDoesNotVote(n)
  /\ DurablePromise(n, Adopted(n, l.epoch))
  /\ round <= l.round
  /\ at' = [at EXCEPT ![n] = [Backup(at[n]) EXCEPT !.promise = Adopted(n, l.epoch)]]
  /\ said' = [said EXCEPT !.mail = @ \cup
       {Hold(n, "Confirmed", l.by, l.epoch, [epoch |-> 0, seq |-> round], TRUE)}] /\ UNCHANGED client

\* Every replica: sync, apply, checkpoint.
Sync(n) ==
  /\ at' = [at EXCEPT ![n].durable = Len(at[n].log), ![n].disk = {at[n].log},
                      ![n].held = {[m EXCEPT !.synced = TRUE] : m \in @}] /\ UNCHANGED <<said, client>>

\* An entry takes effect unless its request did before. It is durable: it comes from the device. The primary answers.
Apply(n) ==
  LET s == at[n].applied + 1
      request == at[n].log[s].request
      fresh == request # 0 /\ RequestDedup(n, request) /\ DedupSurvivesFailover(n, request) IN
  /\ s <= Len(at[n].log) /\ s <= at[n].durable
  /\ ApplyOnlyCommitted(n, s)
  /\ at' = [at EXCEPT ![n].applied = s,
                      ![n].took = IF fresh THEN @ \cup {request} ELSE @,
                      ![n].answered = IF fresh /\ Is(n, "primary") THEN @ \cup {request} ELSE @]
  /\ client' = [client EXCEPT !.twice = @ \/ (fresh /\ request \in at[n].took),
       !.shown = IF request # 0 /\ Is(n, "primary") THEN @ \cup {Shown(n, s)} ELSE @] /\ UNCHANGED said

\* What a restart takes for committed was committed in a durable promise: else an older primary could contradict it.
Checkpoint(n, s) ==
  /\ DurablePromise(n, at[n].promise) /\ s \in at[n].base..at[n].applied
  /\ at' = [at EXCEPT ![n].base = s] /\ UNCHANGED <<said, client>>

\* Status: where the log ends, for a gateway.
Report(n) ==
  /\ at' = [at EXCEPT ![n].reported = TailOf(at[n].log)] /\ UNCHANGED <<said, client>>

\* Reads. `known` is what a client may know of when it asks.
AskRead(n, l, id) ==
  /\ l \in said.leads /\ Own(n, l)
  /\ Is(n, "primary") /\ EpochMarker(n)
  /\ client' = [client EXCEPT !.reads = @ \cup
       {[at |-> n, id |-> id, epoch |-> l.epoch, round |-> l.round + 1, known |-> Len(client.committed)]}]
  /\ UNCHANGED <<at, said>>

BeginRound(n) ==
  /\ Is(n, "primary")
  /\ said' = [said EXCEPT !.leads = {IF Own(n, l) THEN [l EXCEPT !.round = @ + 1] ELSE l : l \in @}]
  /\ UNCHANGED <<at, client>>

\* What was read is as good as acknowledged.
AnswerRead(n, q) ==
  LET s == at[n].applied IN
  /\ q \in client.reads /\ q.at = n /\ Is(n, "primary") /\ q.epoch = at[n].promise
  /\ ReadConfirmation(n, q)
  /\ client' = [client EXCEPT !.reads = @ \ {q}, !.stale = @ \/ s < q.known,
       !.shown = IF s = 0 THEN @ ELSE @ \cup {Shown(n, s)}] /\ UNCHANGED <<at, said>>

\* Transfer of a state to who cannot catch up from the log, or may have forgotten something.
\* Pull. `after` is where the primary's log ends as the transfer begins.
StartTransfer(n, l) ==
  /\ l \in said.leads /\ l.by # n /\ EpochFence(n, l.epoch)
  /\ LET q == [by |-> n, to |-> l.by, epoch |-> l.epoch, name |-> Cardinality(said.pulls) + 1,
               unproven |-> ~at[n].proven, after |-> Len(l.log)] IN
     /\ at' = [at EXCEPT ![n].fetch = [by |-> l.by, epoch |-> l.epoch, name |-> q.name]]
     /\ said' = [said EXCEPT !.pulls = @ \cup {q}] /\ UNCHANGED client

\* Chunk, all pieces in one: the state as of the checkpoint.
SendState(n, q) ==
  /\ q \in said.pulls /\ q.to = n /\ Is(n, "primary") /\ q.epoch = at[n].promise
  /\ TransferReach(q, at[n].base)
  /\ said' = [said EXCEPT !.states = @ \cup
       {[by |-> n, to |-> q.by, epoch |-> q.epoch, name |-> q.name, log |-> SubSeq(at[n].log, 1, at[n].base)]}]
  /\ UNCHANGED <<at, client>>

\* The last Chunk: state, promise and vote become durable in one step. Who has its last entry keeps its own log.
Install(n, m, l) ==
  /\ m \in said.states /\ m.to = n
  /\ at[n].fetch.by = m.by /\ at[n].fetch.epoch = m.epoch
  /\ TransferName(n, m)
  /\ EpochFence(n, m.epoch)
  /\ AtomicStateTransfer(m.log, l)
  /\ at[n].proven => Len(l) > at[n].commit /\ ~Same(at[n].log, l, Len(l))
  /\ LET epoch == Max(at[n].promise, m.epoch) IN
     at' = [at EXCEPT ![n] = [Blank(TRUE) EXCEPT
       !.promise = epoch, !.stored = epoch, !.owed = at[n].owed, !.log = l, !.disk = {l}, !.reported = at[n].reported,
       !.durable = Len(l), !.commit = Len(l), !.applied = Len(l), !.base = Len(l),!.took = Requests(l, Len(l))]]
  /\ UNCHANGED <<said, client>>

\* Faults.
\* What a restart finds: the log l, up to its checkpoint applied; no role, no word that waited, no transfer.
Reopened(n, l, base, owed) ==
  [Blank(at[n].proven) EXCEPT
    !.promise = Max(Max(at[n].stored, TailOf(l).epoch), owed.epoch), !.stored = at[n].stored, !.owed = owed,
    !.role = NoRoleSurvives(n), !.match = IF NoRoleSurvives(n) = "primary" THEN at[n].match ELSE @,
    !.log = l, !.disk = {l}, !.durable = Len(l), !.commit = base, !.applied = base, !.base = base,
    !.took = Requests(l, base), !.reported = TailOf(l)]

\* Power fails at n, which restarts.
Crash(n, l) ==
  /\ l \in at[n].disk /\ at' = [at EXCEPT ![n] = Reopened(n, l, at[n].base, at[n].owed)] /\ UNCHANGED <<said, client>>

\* A log that n had before l: up to each entry it is what the primary of that entry's epoch had.
Once(n, l, left) ==
  /\ AtMost(TailOf(left), TailOf(l)) /\ \A i \in 1..Min(at[n].base, Len(left)) : left[i] = l[i]
  /\ \A i \in 1..Len(left) : \E p \in said.leads :
       p.epoch = left[i].epoch /\ SubSeq(left, 1, i) = SubSeq(p.log, 1, Min(i, Len(p.log)))

\* The same, and the log is damaged: n owes what is not left. That may be a log from before a truncation that is not left.
Rot(n, l, left) ==
  /\ l \in at[n].disk /\ ((Len(left) <= Len(l) /\ left = SubSeq(l, 1, Len(left))) \/ Once(n, l, left))
  /\ LET owed == IF AtMost(at[n].owed, TailOf(l)) THEN TailOf(l) ELSE at[n].owed IN
     at' = [at EXCEPT ![n] = Reopened(n, left, Min(Len(left), at[n].base), owed)] /\ UNCHANGED <<said, client>>

\* No room for the primary's state beside its own: n gives up its own, and owes it.
GiveUpAll(n) ==
  /\ at' = [at EXCEPT ![n] = [Reopened(n, <<>>, 0, VotedTail(n)) EXCEPT
       !.promise = at[n].promise, !.disk = at[n].disk \cup {<<>>}, !.reported = at[n].reported]] /\ UNCHANGED <<said, client>>

\* Contradicted: n acknowledged more than it has, so its device lost it. It stops voting, durably.
LoseVote(n) ==
  /\ at' = [at EXCEPT ![n].proven = FALSE] /\ UNCHANGED <<said, client>>

\* The disk of n is replaced by an empty one, marked as joining.
Wipe(n) ==
  /\ at' = [at EXCEPT ![n] = Blank(FALSE)]
  /\ client' = [client EXCEPT !.wiped = @ \cup {n}] /\ UNCHANGED said

\* Invariants, by their numbers in ARCHITECTURE.
D1 == \A n \in Node : \A s \in 1..Min(Min(at[n].commit, Len(at[n].log)), Len(client.committed)) :
        at[n].log[s] = client.committed[s]
D2 == \A a, b \in said.leads : a.epoch = b.epoch => a.by = b.by
\* Over any restart, but not over the loss of a disk: what transfer-reach is for.
D3 == \A m \in said.mail : m.from \in client.wiped \/ m.epoch <= at[m.from].promise
D4 == \A l \in said.leads : \A a \in client.shown :
        a.epoch < l.epoch => Len(l.log) >= a.seq /\ l.log[a.seq] = a.entry
D5 == \A n \in Node : at[n].applied <= at[n].commit
D6 == ~client.twice
D7 == \A n \in Node : at[n].commit <= Len(at[n].log)
D8 == \A n \in Node : \A l \in said.leads : Is(n, "primary") /\ Own(n, l) => at[n].log = l.log
\* In a client's words: who serves in the newest epoch has all that a client was told of; no read is of the past.
P1 == \A n \in Node : Is(n, "primary") /\ EpochMarker(n) /\ (\A l \in said.leads : l.epoch <= at[n].promise) =>
        \A a \in client.shown : a.seq <= Len(at[n].log) /\ at[n].log[a.seq] = a.entry
P2 == ~client.stale /\ D6
=============================================================================
