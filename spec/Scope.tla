------------------------------- MODULE Scope -------------------------------
(* Cutaway.tla within bounds, for TLC. Which bounds, says the file of constants (spec/run writes one for each check).     *)
EXTENDS Cutaway, TLC

CONSTANTS
  Cold,       \* TRUE: all devices empty. FALSE: the first replica serves in epoch 1, and all have its marker committed
  First,      \* that replica
  Candidates, \* Candidates[e]: who may stand for epoch e
  Writers,    \* requests, by number
  LogMax,     \* entries of a log
  Faulty,     \* replicas that may fail
  Budget      \* how often what may happen: [crashes, wipes, rots, reads, markers, pulls, checkpoints, answers]

VARIABLE left

\* No faults and no reads: what a budget begins with.
B == [crashes |-> 0, wipes |-> 0, rots |-> 0, reads |-> 0, markers |-> 0, pulls |-> 0, checkpoints |-> 0, answers |-> 0]

Marker == <<[epoch |-> 1, request |-> 0]>>
Serving(n) ==
  [Blank(TRUE) EXCEPT !.promise = 1, !.stored = 1, !.role = IF n = First THEN "primary" ELSE "backup", !.log = Marker,
    !.disk = {Marker}, !.durable = 1, !.commit = 1, !.applied = 1, !.reported = TailOf(Marker),
    !.match = IF n = First THEN [m \in Node |-> IF m = n THEN 0 ELSE 1] ELSE @]

Begin ==
  /\ left = Budget
  /\ IF Cold THEN Init ELSE
     /\ at = [n \in Node |-> Serving(n)]
     /\ said = [stands |-> {[by |-> First, epoch |-> 1]}, mail |-> {}, pulls |-> {}, states |-> {},
                leads |-> {[by |-> First, epoch |-> 1, log |-> Marker, commit |-> 1, round |-> 0]}]
     /\ client = [committed |-> Marker, shown |-> {}, reads |-> {}, stale |-> FALSE, twice |-> FALSE, wiped |-> {}]

Spend(what) == left[what] > 0 /\ left' = [left EXCEPT ![what] = @ - 1]
Free == UNCHANGED left
Room(n) == Len(at[n].log) < LogMax


(* What a replica does at once, in the step that makes it possible, happens before anything else: that is how the code is  *)
(* (`Replica::step` and the effects that follow). So orders that differ in nothing else count as one.                      *)
Stores(n) == On("durable-promise") /\ at[n].stored # at[n].promise /\ ~Is(n, "candidate")
Releases(n) == {m \in at[n].held : DurableAck(m) /\ DurablePromise(n, m.epoch)}
Elects(n) == Is(n, "candidate") /\ PromiseMajority(at[n].votes) /\ MostCompleteLog(n)
Marks(n) == On("epoch-marker") /\ Is(n, "primary") /\ Room(n) /\ TailOf(at[n].log).epoch # at[n].promise
Commits(n) == IF Is(n, "primary") THEN {s \in at[n].commit + 1..Len(at[n].log) : MajorityCommit(n, s) /\ OwnEpochCommit(n, s)} ELSE {}
Applies(n) == at[n].applied < Min(at[n].durable, IF On("apply-only-committed") THEN at[n].commit ELSE Len(at[n].log))
Urgent(n) == Stores(n) \/ Releases(n) # {} \/ Elects(n) \/ Marks(n) \/ Commits(n) # {} \/ Applies(n)

AtOnce(n) ==
  \/ Stores(n) /\ StorePromise(n)
  \/ ~Stores(n) /\ \E m \in Releases(n) : Release(n, m)
  \/ ~Stores(n) /\ Elects(n) /\ Elect(n)
  \/ ~Stores(n) /\ Marks(n) /\ AppendMarker(n)
  \/ ~Stores(n) /\ Commits(n) # {} /\ CommitByCount(n, CHOOSE s \in Commits(n) : \A t \in Commits(n) : t <= s)
  \/ ~Stores(n) /\ Commits(n) = {} /\ Applies(n) /\ Apply(n)

\* Where the log of n matches what l says, the last such entry is as good as any before it, if the guards say so.
Prevs(n, l, s) ==
  LET matching == {p \in 0..s : Same(at[n].log, l.log, p)} IN
  IF Without \cap {"log-matching", "truncate-on-conflict", "truncate-only-on-conflict", "commit-within-match"} = {}
  THEN {CHOOSE p \in matching : \A q \in matching : q <= p} ELSE 0..s
Cuts(n, l, prev, s) ==
  IF On("truncate-only-on-conflict")
  THEN LET wrong == {i \in prev + 1..Min(s, Len(at[n].log)) : ~Same(at[n].log, l.log, i)} IN
       IF wrong = {} \/ ~On("truncate-on-conflict") THEN {0} ELSE {CHOOSE i \in wrong : \A j \in wrong : i <= j}
  ELSE {IF prev < Len(at[n].log) THEN prev + 1 ELSE 0}
Told(n, l, s) == {at[n].commit, Max(at[n].commit, IF On("commit-within-match") THEN Min(l.commit, s) ELSE Min(l.commit, Len(at[n].log)))}

\* A step that changes nothing is left out, and so is a word that says less than one before.
Acks(from, to, epoch) == {m.tail.seq : m \in {x \in said.mail \cup at[from].held :
  x.kind = "PrepareOk" /\ x.from = from /\ x.to = to /\ x.epoch = epoch}}
SaysMore(n, l, s) == \A t \in Acks(n, l.by, l.epoch) : t < s
Strongest(m) == \A t \in Acks(m.from, m.to, m.epoch) : t <= m.tail.seq
AtLeisure ==
  \/ \E n \in Node :
       \/ Free /\ \E e \in 1..Len(Candidates) : n \in Candidates[e] /\ (\A s \in said.stands : s.epoch < e \/ n # s.by) /\ Stand(n, e)
       \/ Free /\ \E c \in said.stands : c.by # n /\
            (GrantPromise(n, c, VotedTail(n)) \/ (at[n].reported # VotedTail(n) /\ GrantPromise(n, c, at[n].reported)))
       \/ Free /\ Is(n, "candidate") /\ On("durable-promise") /\ at[n].stored # at[n].promise /\ StorePromise(n)
       \/ Free /\ \E m \in said.mail : m.from # n /\ CountPromise(n, m) /\ at' # at
       \/ Spend("markers") /\ Room(n) /\ AppendMarker(n)
       \/ Free /\ Room(n) /\ \E r \in Writers : Write(n, r)
       \/ Free /\ \E m \in said.mail : CountAck(n, m) /\ at' # at /\ Strongest(m)
       \/ Spend("answers") /\ Is(n, "primary") /\ \E s \in 1..at[n].applied : at[n].log[s].request # 0 /\ Answer(n, s) /\ client' # client
       \/ Free /\ (~Synced(n) \/ at[n].durable < Len(at[n].log)) /\ Sync(n)
       \/ Spend("reads") /\ \E l \in said.leads : AskRead(n, l, left.reads)
       \/ Free /\ (\E q \in client.reads : q.at = n /\ \A l \in said.leads : Own(n, l) => q.round > l.round) /\ BeginRound(n)
       \/ Free /\ \E q \in client.reads : AnswerRead(n, q)
       \/ Free /\ \E q \in said.pulls : SendState(n, q) /\ said' # said
       \/ Free /\ \E m \in said.states : Install(n, m, m.log)
       \/ Free /\ ~On("atomic-state-transfer") /\ \E m \in said.states : \E l \in Halves(m.log) : l # m.log /\ Install(n, m, l)
       \/ Spend("checkpoints") /\ at[n].base < at[n].applied /\ Checkpoint(n, at[n].applied)
       \/ n \in Faulty /\ Spend("crashes") /\ \E l \in at[n].disk : Crash(n, l)
       \/ n \in Faulty /\ Spend("wipes") /\ Wipe(n)
       \/ n \in Faulty /\ Spend("rots") /\ \E l \in at[n].disk : \E s \in 0..Len(l) : s < Len(l) /\ Rot(n, l, SubSeq(l, 1, s))
       \/ ~On("tail-with-promise") /\ Free /\ at[n].reported # TailOf(at[n].log) /\ Report(n)
  \/ \E n \in Node, l \in said.leads : n # l.by /\
       \/ Free /\ \E s \in 0..Len(l.log) : \E prev \in Prevs(n, l, s) : \E cut \in Cuts(n, l, prev, s) : \E c \in Told(n, l, s) :
            Prepare(n, l, prev, s, cut, c) /\ (at'[n].log # at[n].log \/ at'[n].commit > at[n].commit \/ SaysMore(n, l, s))
       \/ Free /\ l.round > 0 /\ Confirm(n, l, l.round) /\ said' # said
       \/ Spend("pulls") /\ StartTransfer(n, l)

Next ==
  IF \E n \in Node : Urgent(n) THEN Free /\ AtOnce(CHOOSE n \in Node : Urgent(n)) ELSE AtLeisure

Bounded == <<at, said, client, left>>
Spec == Begin /\ [][Next]_Bounded
=============================================================================
