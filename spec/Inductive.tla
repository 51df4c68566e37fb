----------------------------- MODULE Inductive -----------------------------
\* Why Cutaway.tla is safe: an invariant that every action keeps. D1, D2, D3, D4, D5, D7 and D8 follow from it.
\*
\* spec/prove proves that with z3 for any number of epochs, entries and steps, of an encoding by hand (docs/spec.md says of
\* what exactly). This text itself is checked by sampling: crates/spec/tests/inductive.rs draws states that satisfy it, reachable
\* or not, and takes steps from them; in spec/walk TLC checks that random walks satisfy it. Each lemma says what it is for.
\* Replicas that were wiped or lost their vote have forgotten what they said: the lemmas are about clusters without them.
EXTENDS Cutaway

Leads(e) == {l \in said.leads : l.epoch = e}
Epochs == {l.epoch : l \in said.leads}
LogOf(e) == (CHOOSE l \in said.leads : l.epoch = e).log

\* What m promised (to whom, for which epoch, with which tail): said, or waiting until it may be said.
Promised(m) == {x \in said.mail : x.kind = "Promised" /\ x.from = m}
PromiseHeld(m) == {x \in at[m].held : x.kind = "Promised"}
\* What m acknowledged: said; waiting and durable; waiting. A primary that counts itself has acknowledged that.
AckSaid(m) == {[epoch |-> x.epoch, seq |-> x.tail.seq] : x \in {y \in said.mail : y.kind = "PrepareOk" /\ y.from = m}}
  \cup {[epoch |-> l.epoch, seq |-> l.commit] :
         l \in {k \in said.leads : k.by = m /\ k.commit > 0 /\ k.log[k.commit].epoch = k.epoch}}
AckSynced(m) == {[epoch |-> x.epoch, seq |-> x.tail.seq] : x \in {y \in at[m].held : y.kind = "PrepareOk" /\ y.synced}}
AckHeld(m) == {[epoch |-> x.epoch, seq |-> x.tail.seq] : x \in {y \in at[m].held : y.kind = "PrepareOk"}}
Upto(acks, e, s) == \E a \in acks : a.epoch = e /\ a.seq >= s

\* An entry is known by the epoch of the primary that appended it and its seq.
Appended(e) == {s \in 1..Len(LogOf(e)) : LogOf(e)[s].epoch = e}
Has(l, e, s) == s <= Len(l) /\ l[s].epoch = e
\* The primary of e can no longer commit its entry at s: a majority has promised more, durably, without having it.
Dead(e, s) == IsMajority({m \in Node : at[m].stored > e /\ ~Upto(AckSaid(m) \cup AckHeld(m), e, s)})

\* The lemmas.

\* The numbers of a replica are in order. D5 and D7 are two of them.
Order == \A n \in Node : LET r == at[n] IN
  /\ r.base <= r.applied /\ r.applied <= r.durable /\ r.applied <= r.commit
  /\ r.commit <= Len(r.log) /\ r.durable <= Len(r.log)
  /\ r.stored <= r.promise /\ r.owed.epoch <= r.promise /\ (Is(n, "backup") \/ r.promise >= 1)

\* What is durable, every crash leaves: a primary counts itself by it, and what is applied survives.
Durable == \A n \in Node :
  /\ at[n].log \in at[n].disk
  /\ \A l \in at[n].disk : at[n].durable <= Len(l) /\ \A s \in 1..at[n].durable : l[s] = at[n].log[s]

\* No log reaches beyond the promise. So who promises an epoch has no entry of it, and who leads it begins it.
Bound == \A n \in Node : \A l \in at[n].disk \cup {at[n].log} : \A s \in 1..Len(l) : l[s].epoch \in 1..at[n].promise

\* Log matching: up to an entry, a log is what the primary of its epoch had. So a common entry is a common prefix.
Matches(l) == \A s \in 1..Len(l) :
  l[s].epoch \in Epochs /\ s <= Len(LogOf(l[s].epoch)) /\ SubSeq(l, 1, s) = SubSeq(LogOf(l[s].epoch), 1, s)
Origin == (\A n \in Node : \A l \in at[n].disk \cup {at[n].log} : Matches(l)) /\ \A l \in said.leads : Matches(l.log)

\* Epochs never fall along a log: so tails compare what logs contain.
Rising == \A l \in said.leads : \A s \in 1..Len(l.log) : \A i \in 1..s :
  1 <= l.log[i].epoch /\ l.log[i].epoch <= l.log[s].epoch /\ l.log[s].epoch <= l.epoch

\* A promise that was said is durable, one that waits is known (D3).
Promises == \A m \in Node :
  (\A x \in Promised(m) : x.epoch <= at[m].stored) /\ \A x \in PromiseHeld(m) : x.epoch <= at[m].promise

\* An acknowledgement promises its epoch (D3), and is of what that epoch's primary has.
Acks == \A m \in Node :
  /\ \A a \in AckSaid(m) : a.epoch <= at[m].stored
  /\ \A a \in AckSaid(m) \cup AckHeld(m) :
       a.epoch <= at[m].promise /\ a.epoch \in Epochs /\ a.seq <= Len(LogOf(a.epoch))

\* A replica promises an epoch to one candidate: so two majorities do not elect two.
OneGrant == \A m \in Node : \A x, y \in Promised(m) \cup PromiseHeld(m) : x.epoch = y.epoch => x.to = y.to
\* Who stands for an epoch, or led it, promises it to nobody: its own vote is such a promise.
OwnVote == \A n \in Node : \A x \in Promised(n) \cup PromiseHeld(n) :
  (~Is(n, "backup") => x.epoch # at[n].promise) /\ \A l \in Leads(x.epoch) : l.by # n

\* A vote is a promise that was said to the candidate. Its own is of its log, and durable before any other counts.
Votes == \A n \in Node : Is(n, "candidate") =>
  /\ \A l \in Leads(at[n].promise) : l.by # n
  /\ AtMost(at[n].owed, TailOf(at[n].log))
  /\ [from |-> n, tail |-> TailOf(at[n].log)] \in at[n].votes
  /\ \A v \in at[n].votes : IF v.from = n THEN v.tail = TailOf(at[n].log) ELSE
       /\ at[n].promise <= at[n].stored
       /\ \E x \in Promised(v.from) : x.to = n /\ x.epoch = at[n].promise /\ x.tail = v.tail

\* Who led an epoch had the promises of a majority. All of them are durable: whoever is asked again knows.
Elected == \A l \in said.leads :
  /\ 1 <= l.epoch /\ l.epoch <= at[l.by].stored
  /\ IsMajority({l.by} \cup {m \in Node : \E x \in Promised(m) : x.to = l.by /\ x.epoch = l.epoch})
\* An epoch has one primary, and what it said is one record.
OnePrimary == \A a, b \in said.leads : a.epoch = b.epoch => a = b

\* A primary's log is what it said (D8), so an acknowledgement of its epoch is one of its log.
Primary == \A n \in Node :
  /\ Is(n, "primary") => \E l \in said.leads : Own(n, l) /\ l.log = at[n].log /\ l.commit = at[n].commit
  /\ \A m \in Node : at[n].match[m] > 0 => Is(n, "primary") /\ Upto(AckSaid(m), at[n].promise, at[n].match[m])

\* What a replica acknowledged, it has, unless it owes it, or it is dead. What it said, every crash leaves.
KeptIn(l, n, e, s) == Has(l, e, s) \/ AtMost([epoch |-> e, seq |-> s], at[n].owed) \/ Dead(e, s)
Kept == \A n \in Node : \A e \in Epochs : \A s \in Appended(e) :
  /\ Upto(AckSaid(n) \cup AckHeld(n), e, s) => KeptIn(at[n].log, n, e, s)
  /\ Upto(AckSaid(n) \cup AckSynced(n), e, s) => \A l \in at[n].disk : KeptIn(l, n, e, s)

\* A promise tells of what was acknowledged before it: so a majority of promises tells of all that was committed.
Told == \A n \in Node : \A x \in Promised(n) \cup PromiseHeld(n) :
  \A e \in {f \in Epochs : f < x.epoch} : \A s \in Appended(e) :
    Upto(AckSaid(n) \cup AckHeld(n), e, s) => AtMost([epoch |-> e, seq |-> s], x.tail) \/ Dead(e, s)

\* The heart: an entry that a later primary lacks is dead. What is committed is not, so all later primaries have it.
Lacked == \A f \in Epochs : \A e \in {g \in Epochs : g < f} : \A s \in Appended(e) : Has(LogOf(f), e, s) \/ Dead(e, s)

\* What is committed was counted: the primary of an epoch counted its own entry, there or behind it.
CountedIn(s, e) == \E top \in s..Len(LogOf(e)) :
  /\ LogOf(e)[top].epoch = e
  /\ IsMajority({m \in Node : Upto(AckSaid(m), e, top)})
  /\ SubSeq(LogOf(e), 1, s) = SubSeq(client.committed, 1, s)
CountedBy(s, epoch) == s <= Len(client.committed) /\ \E e \in Epochs : e <= epoch /\ CountedIn(s, e)
Counted == \A s \in 1..Len(client.committed) : \E e \in Epochs : CountedIn(s, e)

\* Who knows that a seq is committed has its entry (D1), and has promised an epoch that is not before it. So whom it
\* follows has the entry too, and it truncates none (D7).
Known == \A n \in Node : \A s \in 1..at[n].commit : CountedBy(s, at[n].promise) /\ at[n].log[s] = client.committed[s]
\* The same of a commit point that was said.
Said == \A l \in said.leads : l.commit <= Len(l.log) /\
  \A s \in 1..l.commit : CountedBy(s, l.epoch) /\ l.log[s] = client.committed[s]
\* The same of a checkpoint and the stored promise, which is what a restart has. So a checkpoint waits for the promise.
Restart == \A n \in Node : \A s \in 1..at[n].base : CountedBy(s, at[n].stored)
\* The same of a state that was sent.
States == \A m \in said.states : \A s \in 1..Len(m.log) : CountedBy(s, m.epoch) /\ m.log[s] = client.committed[s]
\* The same of what a client was told: so primaries of later epochs have it (D4).
Answered == \A a \in client.shown : CountedBy(a.seq, a.epoch) /\ a.entry = client.committed[a.seq]

Inductive ==
  /\ Order /\ Durable /\ Bound /\ Origin /\ Rising /\ Promises /\ Acks /\ OneGrant /\ OwnVote /\ Votes /\ Elected /\ OnePrimary
  /\ Primary /\ Kept /\ Told /\ Lacked /\ Counted /\ Known /\ Said /\ Restart /\ States /\ Answered
\* What follows from it.
Implied == D1 /\ D2 /\ D4 /\ D5 /\ D7 /\ D8 /\ \A m \in said.mail : m.kind # "Confirmed" => m.epoch <= at[m.from].promise
=============================================================================
