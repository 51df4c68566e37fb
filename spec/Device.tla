------------------------------- MODULE Device -------------------------------
(* One device of Cutaway: sectors, sync, crash, superblocks, log, checkpoint. Each mechanism is one clause, a definition
   with its id in CamelCase; `Without` names those that are taken out.

   Abstracted, and why that is sound:
   - Sectors. What is written goes to `cache`; a sync makes it `disk`. A power cut leaves of each unsynced sector the old
     content, the new one, or a torn one, in any combination. A process that is merely killed leaves the cache.
   - One key. What can go wrong with many goes wrong with one that is overwritten; `ext` is where its value is.
   - Log positions. An entry has the place of its number; the ring's laps are lives here: in both a record that is whole
     is found where it does not belong, and its life or lap gives it away.
   - Undoing (truncate) is left out. Only a batch that undoes needs to count whole, so `whole-batch` is a clause here that
     no invariant needs; the lab shows it on the real engine.
   - Rot, formatting, locks: they are not about the order of writes, and the lab shows them on the real engine. *)
EXTENDS Naturals, Sequences, FiniteSets

CONSTANTS Without, EntryMax, ExtentMax, BatchMax, CrashMax, PromiseMax, CheckpointMax

VARIABLES
  disk,  \* what is durable: [sb, log, data, cp]
  cache, \* what was written: the same, and what a reader sees
  mem,   \* the open engine
  told   \* what its owner was told, and may rely on

vars == <<disk, cache, mem, told>>

On(id) == id \notin Without
None == [k |-> "none"]
Torn == [k |-> "torn"]
Is(c, kind) == c.k = kind

Superblock(gen, life, start, promise, base, cp) ==
  [k |-> "sb", gen |-> gen, life |-> life, start |-> start, promise |-> promise, base |-> base, cp |-> cp]
First == Superblock(1, 1, 1, 0, 0, 1)
Blank == [
  sb |-> <<First, [First EXCEPT !.gen = 2]>>,
  log |-> [p \in 1..EntryMax |-> None],
  data |-> [e \in 1..ExtentMax |-> 0],
  cp |-> <<[k |-> "cp", seq |-> 0, val |-> 0, ext |-> 0], None>>]
Opened(sb, entries, base) == [
  open |-> TRUE, sb |-> sb,
  log |-> entries,      \* entry s is [val, ext]; those up to base are in the checkpoint
  base |-> base, batch |-> 0,
  written |-> Len(entries), synced |-> Len(entries),
  update |-> <<>>,      \* superblock copies that are still to be written: [slot, sb]
  freed |-> {},         \* extents whose value was overwritten since the checkpoint
  cp |-> 0]             \* the checkpoint that is being made

Init ==
  /\ disk = Blank /\ cache = Blank
  /\ mem = Opened([First EXCEPT !.gen = 2], <<>>, 0)
  /\ told = [acked |-> 0, history |-> <<>>, promise |-> 0, crashes |-> 0, checkpoints |-> 0]

----------------------------------------------------------------------------
(* The clauses. *)

\* ack-after-sync
AckAfterSync(s) == On("ack-after-sync") => s <= mem.synced
\* record-crc: a record that is half old and half new does not count.
RecordCrc(c) == Is(c, "rec") \/ (~On("record-crc") /\ Is(c, "half"))
\* stale-log-rejection: from the start of the life on all records are of this life; before it lives do not decrease.
StaleLogRejection(sb, p, life, before) ==
  On("stale-log-rejection") => (IF p >= sb.start THEN life = sb.life ELSE life >= before)
\* whole-batch: each of the batch's records is there.
WholeBatch(log, c) ==
  On("whole-batch") => \A q \in c.first..c.last : RecordCrc(log[q]) /\ log[q].life = c.life /\ log[q].first = c.first
\* new-life-first: after a recovery nothing is written before the new life is durable.
NewLifeFirst == On("new-life-first") => mem.update = <<>> /\ disk.sb = cache.sb
\* sync-on-recovery: what was read is made durable before anybody relies on it.
SyncOnRecovery(read) == IF On("sync-on-recovery") THEN read ELSE disk
\* data-checksum-in-log: a record whose value is not what it was is not replayed.
DataChecksumInLog(c) == On("data-checksum-in-log") => cache.data[c.ext] = c.val
\* never-overwrite-live: the extent of the value that is replaced is not written.
NeverOverwriteLive(e) ==
  On("never-overwrite-live") => \A s \in {Len(mem.log)} \cap DOMAIN mem.log : mem.log[s].ext # e
\* extent-quarantine: nor one that what may be recovered still points at.
ExtentQuarantine(e) ==
  On("extent-quarantine") => e \notin mem.freed /\ \A a \in 1..2 : Is(cache.cp[a], "cp") => cache.cp[a].ext # e
\* ab-superblock: one copy at a time, each synced before the other is touched.
AbSuperblock == On("ab-superblock") => disk.sb = cache.sb
\* atomic-checkpoint: all of it is durable before a superblock points at it.
AtomicCheckpoint(a) == On("atomic-checkpoint") => disk.cp[a] = cache.cp[a]

----------------------------------------------------------------------------
(* Appending. *)

Append1(e) ==
  LET v == Len(mem.log) + 1 IN
  /\ mem.open /\ v <= EntryMax /\ Len(mem.log) - mem.written < BatchMax
  /\ mem.written = mem.synced   \* no byte of a batch is written before the sync of the one before
  /\ NeverOverwriteLive(e)
  /\ ExtentQuarantine(e)
  /\ \A s \in mem.written + 1..Len(mem.log) : mem.log[s].ext # e
  /\ LET val == 10 * (told.crashes + 1) + v
         freed == IF mem.log = <<>> THEN {} ELSE {mem.log[Len(mem.log)].ext} IN
     /\ mem' = [mem EXCEPT !.log = Append(@, [val |-> val, ext |-> e]), !.freed = @ \cup freed]
     /\ told' = [told EXCEPT !.history = Append(@, val)]
  /\ UNCHANGED <<disk, cache>>

\* All that was appended goes out as one batch: values and records, in no order.
WriteBatch ==
  LET first == mem.written + 1
      last  == Len(mem.log)
      rec(s) == [k |-> "rec", life |-> mem.sb.life, batch |-> mem.batch + 1, first |-> first, last |-> last,
                 val |-> mem.log[s].val, ext |-> mem.log[s].ext]
      value(e) == {s \in first..last : mem.log[s].ext = e} IN
  /\ mem.open /\ first <= last
  /\ NewLifeFirst
  /\ cache' = [cache EXCEPT
       !.log = [p \in 1..EntryMax |-> IF p \in first..last THEN rec(p) ELSE @[p]],
       !.data = [e \in 1..ExtentMax |-> IF value(e) = {} THEN @[e] ELSE mem.log[CHOOSE s \in value(e) : TRUE].val]]
  /\ mem' = [mem EXCEPT !.written = last, !.batch = @ + 1]
  /\ UNCHANGED <<disk, told>>

Sync ==
  /\ mem.open /\ disk # cache
  /\ disk' = cache
  /\ mem' = [mem EXCEPT !.synced = mem.written]
  /\ UNCHANGED <<cache, told>>

\* The owner hears that entries up to s are durable.
Acknowledge(s) ==
  /\ mem.open /\ s \in told.acked + 1..mem.written
  /\ AckAfterSync(s)
  /\ told' = [told EXCEPT !.acked = s]
  /\ UNCHANGED <<disk, cache, mem>>

----------------------------------------------------------------------------
(* Superblocks: promise and checkpoint. *)

Older == IF ~Is(cache.sb[1], "sb") \/ (Is(cache.sb[2], "sb") /\ cache.sb[1].gen < cache.sb[2].gen) THEN 1 ELSE 2
Copies(sb) == <<[slot |-> Older, sb |-> [sb EXCEPT !.gen = mem.sb.gen + 1]],
                [slot |-> 3 - Older, sb |-> [sb EXCEPT !.gen = mem.sb.gen + 2]]>>
Begin(sb) == mem' = [mem EXCEPT !.update = Copies(sb), !.sb = [sb EXCEPT !.gen = mem.sb.gen + 2]]

WriteSuperblock ==
  /\ mem.update # <<>>
  /\ AbSuperblock
  /\ cache' = [cache EXCEPT !.sb[mem.update[1].slot] = mem.update[1].sb]
  /\ mem' = [mem EXCEPT !.update = SubSeq(@, 2, Len(@))]
  /\ UNCHANGED <<disk, told>>

Promise ==
  /\ mem.open /\ mem.update = <<>> /\ mem.cp = 0
  /\ mem.sb.promise < PromiseMax
  /\ Begin([mem.sb EXCEPT !.promise = @ + 1])
  /\ UNCHANGED <<disk, cache, told>>

\* The promise is answered once both copies are durable.
AnswerPromise ==
  /\ mem.open /\ mem.update = <<>> /\ disk = cache /\ mem.sb.promise > told.promise
  /\ told' = [told EXCEPT !.promise = mem.sb.promise]
  /\ UNCHANGED <<disk, cache, mem>>

\* The state as of the last entry that is durable goes where the superblock does not point.
WriteCheckpoint ==
  LET a == 3 - mem.sb.cp
      s == mem.synced IN
  /\ mem.open /\ mem.cp = 0 /\ mem.update = <<>> /\ s > mem.base /\ told.checkpoints < CheckpointMax
  /\ cache' = [cache EXCEPT !.cp[a] = [k |-> "cp", seq |-> s, val |-> mem.log[s].val, ext |-> mem.log[s].ext]]
  /\ mem' = [mem EXCEPT !.cp = a]
  /\ told' = [told EXCEPT !.checkpoints = @ + 1]
  /\ UNCHANGED disk

FlipCheckpoint ==
  /\ mem.open /\ mem.cp # 0 /\ mem.update = <<>>
  /\ AtomicCheckpoint(mem.cp)
  /\ mem' = [mem EXCEPT !.cp = 0, !.update = Copies([mem.sb EXCEPT !.cp = mem.cp, !.base = cache.cp[mem.cp].seq]),
       !.sb = [mem.sb EXCEPT !.cp = mem.cp, !.base = cache.cp[mem.cp].seq, !.gen = @ + 2]]
  /\ UNCHANGED <<disk, cache, told>>

\* The checkpoint holds: the log before it may be reused, and so may what only that log pointed at.
EndCheckpoint ==
  /\ mem.open /\ mem.cp = 0 /\ mem.update = <<>> /\ disk = cache /\ mem.sb.base > mem.base
  /\ cache' = [cache EXCEPT !.log = [p \in 1..EntryMax |-> IF p <= mem.sb.base THEN None ELSE @[p]],
                            !.cp[3 - mem.sb.cp] = None]
  /\ mem' = [mem EXCEPT !.base = mem.sb.base,
       !.freed = {mem.log[s].ext : s \in mem.sb.base..Len(mem.log) - 1}]
  /\ UNCHANGED <<disk, told>>

----------------------------------------------------------------------------
(* Crashes and recovery. *)

\* What a power cut may leave of one sector; a record that spans two may be half old.
Left(old, new) ==
  IF old = new THEN {new} ELSE {old, new} \cup (IF Is(new, "rec") THEN {[new EXCEPT !.k = "half", !.val = 0]} ELSE {Torn})
LeftOf(part) == {f \in [DOMAIN disk[part] -> UNION {Left(disk[part][i], cache[part][i]) : i \in DOMAIN disk[part]}] :
  \A i \in DOMAIN disk[part] : f[i] \in Left(disk[part][i], cache[part][i])}
LeftValues == {f \in [DOMAIN disk.data -> UNION {{disk.data[e], cache.data[e]} : e \in DOMAIN disk.data}] :
  \A e \in DOMAIN disk.data : f[e] \in {disk.data[e], cache.data[e]}}

Closed == [mem EXCEPT !.open = FALSE, !.update = <<>>, !.cp = 0]
PowerCut ==
  /\ mem.open /\ told.crashes < CrashMax
  /\ \E sb \in LeftOf("sb"), log \in LeftOf("log"), data \in LeftValues, cp \in LeftOf("cp") :
       LET left == [sb |-> sb, log |-> log, data |-> data, cp |-> cp] IN disk' = left /\ cache' = left
  /\ mem' = Closed
  /\ told' = [told EXCEPT !.crashes = @ + 1]

Kill ==
  /\ mem.open /\ told.crashes < CrashMax
  /\ mem' = Closed
  /\ told' = [told EXCEPT !.crashes = @ + 1]
  /\ UNCHANGED <<disk, cache>>

Valid == {i \in 1..2 : Is(cache.sb[i], "sb")}
Newest == cache.sb[CHOOSE i \in Valid : \A j \in Valid : cache.sb[j].gen <= cache.sb[i].gen]
\* Does the record at p belong to the log that sb leads to?
Belongs(sb, p) ==
  LET c == cache.log[p]
      before == IF p - 1 > sb.base THEN cache.log[p - 1].life ELSE 1 IN
  /\ RecordCrc(c)
  /\ StaleLogRejection(sb, p, c.life, before)
  /\ WholeBatch(cache.log, c)
  /\ \A q \in c.first..c.last : RecordCrc(cache.log[q]) => DataChecksumInLog(cache.log[q])
Ends(sb) == CHOOSE n \in sb.base..EntryMax :
  /\ \A p \in sb.base + 1..n : RecordCrc(cache.log[p]) /\ Belongs(sb, p)
  /\ n = EntryMax \/ ~RecordCrc(cache.log[n + 1]) \/ ~Belongs(sb, n + 1)

Recover ==
  LET sb == Newest
      cp == cache.cp[sb.cp]
      n == Ends(sb)
      entry(s) == IF s < sb.base THEN [val |-> told.history[s], ext |-> 0]
                  ELSE IF s = sb.base THEN [val |-> cp.val, ext |-> cp.ext]
                  ELSE [val |-> cache.log[s].val, ext |-> cache.log[s].ext]
      new == [sb EXCEPT !.life = @ + 1, !.start = n + 1] IN
  /\ ~mem.open /\ Valid # {} /\ Is(cp, "cp")
  /\ mem' = [Opened(IF On("new-life-first") THEN [new EXCEPT !.gen = sb.gen + 2] ELSE sb, [s \in 1..n |-> entry(s)], sb.base)
       EXCEPT !.update = IF On("new-life-first")
         THEN <<[slot |-> Older, sb |-> [new EXCEPT !.gen = sb.gen + 1]], [slot |-> 3 - Older, sb |-> [new EXCEPT !.gen = sb.gen + 2]]>>
         ELSE <<>>,
       !.freed = {entry(s).ext : s \in sb.base..n - 1} \ {0}]
  /\ disk' = SyncOnRecovery(cache)
  /\ told' = [told EXCEPT !.history = [s \in 1..n |-> entry(s).val]]
  /\ UNCHANGED cache

Next ==
  \/ \E e \in 1..ExtentMax : Append1(e)
  \/ WriteBatch \/ Sync \/ (\E s \in 1..EntryMax : Acknowledge(s))
  \/ Promise \/ WriteSuperblock \/ AnswerPromise
  \/ WriteCheckpoint \/ FlipCheckpoint \/ EndCheckpoint
  \/ PowerCut \/ Kill \/ Recover

Spec == Init /\ [][Next]_vars

----------------------------------------------------------------------------
(* Invariants, by their numbers in engine/src/lib.rs. *)

\* A closed device can be opened, and has what was acknowledged.
E1 == /\ mem.open => told.acked <= Len(mem.log)
      /\ ~mem.open => Valid # {} /\ Is(cache.cp[Newest.cp], "cp")
\* What is recovered are values that were appended, in order.
E2 == mem.open => \A s \in 1..Len(mem.log) : mem.log[s].val % 10 = s /\ mem.log[s].val = told.history[s]
\* The newest durable value reads its own bytes.
E4 == mem.open /\ mem.written = mem.synced /\ mem.synced > 0 /\ mem.log[mem.synced].ext > 0 /\ Len(mem.log) = mem.synced =>
        cache.data[mem.log[mem.synced].ext] = mem.log[mem.synced].val
E5 == mem.open => mem.sb.promise >= told.promise
\* What was acknowledged is not replaced by what was appended later or earlier.
E6 == mem.open => \A s \in 1..Len(mem.log) - 1 : mem.log[s].val <= mem.log[s + 1].val
=============================================================================
