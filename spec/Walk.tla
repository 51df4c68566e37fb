-------------------------------- MODULE Walk --------------------------------
\* Every action of Cutaway.tla that spec/prove is about, in any order and with any parameters within bounds, for random
\* walks. Scope.tla prefers what a replica does at once; here a promise may wait while entries are applied.
EXTENDS Inductive, TLC
CONSTANTS EpochMax, LogMax
Room(n) == Len(at[n].log) < LogMax
\* Faults are rare, so that a walk gets somewhere; so are writes and transfers, so that takeovers come between them.
Rarely == RandomElement(1..12) = 1
Sometimes == RandomElement(1..4) = 1
Epoch == 1..EpochMax
Seq0 == 0..LogMax

Next ==
  \/ \E n \in Node :
       \/ (said.stands = {} \/ Sometimes) /\ \E e \in Epoch : e <= Cardinality(said.leads) + 1 /\ Stand(n, e)
       \/ \E c \in said.stands : GrantPromise(n, c, VotedTail(n))
       \/ at[n].stored # at[n].promise /\ StorePromise(n)
       \/ \E m \in at[n].held : Release(n, m)
       \/ \E m \in said.mail : (CountPromise(n, m) \/ CountAck(n, m)) /\ at' # at
       \/ Elect(n)
       \/ StepDown(n) /\ (at' = at \/ Rarely)
       \/ Sometimes /\ Room(n) /\ (AppendMarker(n) \/ Write(n, Len(at[n].log) + 1))
       \/ \E s \in 1..LogMax : CommitByCount(n, s)
       \/ \E s \in 1..LogMax : Answer(n, s) /\ client' # client
       \/ \E l \in said.leads : Follow(n, l) /\ at' # at
       \/ (~Synced(n) \/ at[n].durable < Len(at[n].log)) /\ Sync(n)
       \/ Apply(n)
       \/ Checkpoint(n, at[n].applied) /\ at' # at
       \/ Rarely /\ \E l \in said.leads : at[n].fetch.epoch # l.epoch /\ StartTransfer(n, l)
       \/ Sometimes /\ \E q \in said.pulls : SendState(n, q) /\ said' # said
       \/ Sometimes /\ \E m \in said.states : Install(n, m, m.log)
       \/ Rarely /\ \E l \in at[n].disk : Crash(n, l) \/ \E s \in Seq0 : s <= Len(l) /\ Rot(n, l, SubSeq(l, 1, s))
       \/ Rarely /\ GiveUpAll(n)
  \/ \E n \in Node, l \in said.leads : \E prev, s, cut, c \in Seq0 : Prepare(n, l, prev, s, cut, c)

Spec == Init /\ [][Next]_vars
=============================================================================
