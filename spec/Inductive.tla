----------------------------- MODULE Inductive -----------------------------
\* Why D1, D2, D4 and D7 hold, whatever the number of steps: Inductive holds at first, each step of takeover, replication,
\* commit, acknowledgement and restart keeps it, and it implies them. Faults of the disk (Rot, GiveUpAll, LoseVote, Wipe) and
\* transfers are left out: `Core` says so. It is not proved by machine: `crates/spec/tests/inductive.rs` draws states, reachable
\* or not, that satisfy it, and takes steps from them; docs/spec.md says how many.
EXTENDS Cutaway

\* What n said, or waits to say.
Words(n) == at[n].held \cup {m \in said.mail : m.from = n}
Prefix(a, b, s) == s <= Len(a) /\ s <= Len(b) /\ SubSeq(a, 1, s) = SubSeq(b, 1, s)
Led(m) == {l \in said.leads : l.by = m.to /\ l.epoch = m.epoch}
Leading(l) == Is(l.by, "primary") /\ at[l.by].promise = l.epoch
\* An entry that the primary appended in its own epoch: only those are committed by counting.
IsOwn(l, s) == s \in 1..Len(l.log) /\ l.log[s].epoch = l.epoch
\* Somebody leads a later epoch without the first s entries of l.
Passed(l, s) == \E o \in said.leads : o.epoch > l.epoch /\ ~Prefix(l.log, o.log, s)

\* The first t entries of l are committed for good: a majority has them on its devices and voted as one that has them, and
\* whoever leads later has them.
Holds(n, l, t) ==
  /\ at[n].stored >= l.epoch
  /\ \A x \in at[n].disk : Prefix(x, l.log, t)
  /\ \A m \in Words(n) : m.kind = "Promised" /\ m.epoch > l.epoch => AtMost([epoch |-> l.epoch, seq |-> t], m.tail)
Chosen(l, t) ==
  /\ IsOwn(l, t)
  /\ \A o \in said.leads : o.epoch > l.epoch => Prefix(l.log, o.log, t)
  /\ IsMajority({n \in Node : Holds(n, l, t)})
\* What is committed up to c in x was chosen in an epoch up to e.
Known(x, c, e) == c = 0 \/ \E l \in said.leads : l.epoch <= e /\ \E t \in c..Len(l.log) : Prefix(x, l.log, c) /\ Chosen(l, t)
\* Entry s of l will never be committed by counting: too many have promised more and did not acknowledge it.
Dead(l, s) == Leading(l) => IsMajority({n \in Node \ {l.by} :
  at[n].stored > l.epoch /\ \A m \in Words(n) : m.kind = "PrepareOk" /\ m.epoch = l.epoch => m.tail.seq < s})

\* No disk was lost or damaged, and no state is on its way.
Core == said.pulls = {} /\ said.states = {} /\ \A n \in Node : at[n].proven /\ at[n].owed = TailOf(<<>>)

\* How far a replica is.
Shape == \A n \in Node :
  /\ at[n].stored <= at[n].promise
  /\ at[n].base <= at[n].applied /\ at[n].applied <= at[n].commit /\ at[n].applied <= at[n].durable
  /\ at[n].commit <= Len(at[n].log) /\ at[n].durable <= Len(at[n].log)
  /\ at[n].log \in at[n].disk
  /\ \A x \in at[n].disk : TailOf(x).epoch <= at[n].promise /\ Prefix(x, at[n].log, at[n].durable)

\* Each word was said in a promised epoch, of which one candidate has the promise.
Voted == \A n \in Node : \A m \in Words(n) :
  /\ m.from = n /\ m.epoch <= at[n].promise /\ (m \in said.mail => m.synced /\ m.epoch <= at[n].stored)
  /\ m.kind = "Promised" =>
       /\ m.to # n /\ \E c \in said.stands : c.by = m.to /\ c.epoch = m.epoch
       /\ \A o \in Words(n) : o.kind = "Promised" /\ o.epoch = m.epoch => o.to = m.to
       /\ m.epoch = at[n].promise => Is(n, "backup")
       /\ \A l \in said.leads : l.by = n => l.epoch # m.epoch

\* A candidate counts what it was told, a primary too, and what it said is what it has.
Counted == \A n \in Node :
  /\ Is(n, "candidate") =>
       /\ \E c \in said.stands : c.by = n /\ c.epoch = at[n].promise
       /\ \A l \in said.leads : l.by = n => l.epoch # at[n].promise
       /\ \A v \in at[n].votes :
            IF v.from = n THEN v.tail = TailOf(at[n].log)
            ELSE at[n].stored = at[n].promise /\ \E m \in said.mail :
                   m.kind = "Promised" /\ m.from = v.from /\ m.to = n /\ m.epoch = at[n].promise /\ m.tail = v.tail
  /\ Is(n, "primary") =>
       /\ \E l \in said.leads : Own(n, l) /\ l.log = at[n].log /\ l.commit = at[n].commit
       /\ \A o \in Node : at[n].match[o] > 0 => \E m \in said.mail :
            m.kind = "PrepareOk" /\ m.from = o /\ m.to = n /\ m.epoch = at[n].promise /\ m.tail.seq = at[n].match[o]

\* Whoever leads has the durable promises of a majority, and is the only one of its epoch.
Elected == \A l \in said.leads :
  /\ at[l.by].stored >= l.epoch
  /\ IsMajority({l.by} \cup {m.from : m \in {x \in said.mail : x.kind = "Promised" /\ x.to = l.by /\ x.epoch = l.epoch}})
  /\ \A o \in said.leads : o.epoch = l.epoch => o = l

\* Every log is made of pieces of what primaries had: an entry's epoch tells all that is before it.
Piece(x) == \A s \in 1..Len(x) : \E l \in said.leads : l.epoch = x[s].epoch /\ Prefix(x, l.log, s)
Pieces ==
  /\ \A n \in Node : \A x \in at[n].disk : Piece(x)
  /\ \A l \in said.leads : Piece(l.log) /\ \A s \in 1..Len(l.log) : l.log[s].epoch <= l.epoch

\* Who acknowledged entries has them, unless somebody leads without them.
Acknowledged == \A n \in Node : \A m \in Words(n) : m.kind = "PrepareOk" =>
  /\ m.to # n /\ \E l \in Led(m) : m.tail.seq <= Len(l.log)
  /\ \A l \in Led(m) : \A s \in 1..m.tail.seq :
       \/ Passed(l, s)
       \/ Prefix(at[n].log, l.log, s) /\ (m.synced => \A x \in at[n].disk : Prefix(x, l.log, s))

\* Who acknowledged an entry and then promised a later epoch has voted as one that has it.
Tails == \A n \in Node : \A p, a \in Words(n) : p.kind = "Promised" /\ a.kind = "PrepareOk" /\ a.epoch < p.epoch =>
  \A l \in Led(a) : \A s \in 1..a.tail.seq :
    IsOwn(l, s) => AtMost([epoch |-> l.epoch, seq |-> s], p.tail) \/ Passed(l, s)

\* Where a later primary lacks an entry, it is not committed, and never will be.
Lacking == \A l, o \in said.leads : o.epoch > l.epoch =>
  \A s \in 1..Len(l.log) : IsOwn(l, s) /\ ~Prefix(l.log, o.log, s) => Dead(l, s)

\* What anybody takes for committed was chosen, in an epoch that it has promised; over a restart, durably.
Commits ==
  /\ \A n \in Node : Known(at[n].log, at[n].commit, at[n].promise) /\ Known(at[n].log, at[n].base, at[n].stored)
  /\ \A l \in said.leads : l.commit <= Len(l.log) /\ Known(l.log, l.commit, l.epoch)
  /\ client.committed = <<>> \/ \E l \in said.leads :
       Prefix(client.committed, l.log, Len(client.committed)) /\ Chosen(l, Len(client.committed))
  /\ \A a \in client.shown : \E l \in said.leads : l.epoch <= a.epoch /\ \E t \in a.seq..Len(l.log) :
       l.log[a.seq] = a.entry /\ Chosen(l, t)

Inductive ==
  /\ Core /\ Shape /\ Voted /\ Counted /\ Elected /\ Pieces /\ Acknowledged /\ Tails /\ Lacking /\ Commits
\* What follows from it.
Implied == D1 /\ D2 /\ D4 /\ D7
=============================================================================
