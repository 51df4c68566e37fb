# A node's disk is replaced by an empty one. It acknowledged entries that it has forgotten, so it must not help to elect
# a primary that lacks them.

> cluster 3
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> deliver n1 n2
    n2/0 appends entry 3 (epoch 1)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
> lose n1 n3
> sync n1
    n1/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> sync n2
    n2/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> deliver n2 n1
    n1/0 counts n2 as having entries up to 3 durable
    n1/0 commits entry 3 [majority-commit]
    n1/0 applies entry 3: written as version 3 [apply-only-committed]
    n1/0 answers request 2.1 to g1: written as version 3
    client: write 1 is written as version 3
# Entry 3 is committed, on n1 and n2. Now n2 loses its disk, and n1 dies.
> wipe n2
    n2/0 opens its device: checkpoint as of entry 0, log up to entry 0; 0 bytes of torn tail discarded (log life 2) [stale-log-rejection]
> takeover n3
    n3/0 stands for epoch 2
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n3 n2
    n2/0 refuses to vote for n3: its own log is unproven [unproven-log-does-not-vote]
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 3, end 3)
    n2: Backup in epoch 0, log [] (durable 0, committed 0, end 0)
    n3: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    on its way n3 → n1: PromiseRequest for epoch 2
    on its way n2 → n3: Fenced by epoch 2
# n3 cannot lead with n2's help: service waits for n1, which has the entry.
> tick n3
    n3/0 abandons its candidacy for epoch 2: no majority answered in time
> tick n3
> takeover n1 above 2
    n1/0 steps down as primary of epoch 1: epoch 2 exists
    n1/0 stands for epoch 3
    n1/0 stores the promise of epoch 3 in both superblocks (generation 8) [ab-superblock]
> calm
    n1/0 refuses to promise epoch 2 to n3: it has promised epoch 3 [one-candidate-per-epoch]
    n2/0 refuses to vote for n1: its own log is unproven [unproven-log-does-not-vote]
    n3/0 promises epoch 3 to n1, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 3 in both superblocks (generation 10) [ab-superblock]
    n1/0 has n3's promise of epoch 3 (2 of 2) [promise-majority]
    n1/0 becomes primary of epoch 3; its log ends with entry 3 [promise-majority]
    n1/0 appends entry 4 (epoch 3)
    n1/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 3; commit point 3
    n1/0 sends entry 4 to n3 in epoch 3; commit point 3
    n1/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 follows n1 in epoch 3
    n2/0 fetches the state of n1 (epoch 3): its log is unproven
    n3/0 follows n1 in epoch 3
    n3/0 refuses entries from n1 in epoch 3: its own log does not match at entry 3 [log-matching]
    n1/0 appends entry 5 (epoch 3)
    n1/0 writes the log record of entry 5 at LSN 2048; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 syncs batch 5: 1 writes, 512 bytes, 0 µs; durable up to LSN 2560 [ack-after-sync]
    n1/0 sends entries 3–5 to n3 in epoch 3; commit point 3
    n3/0 appends entry 3 (epoch 1)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 appends entry 4 (epoch 3)
    n3/0 writes the log record of entry 4 at LSN 1130; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 appends entry 5 (epoch 3)
    n3/0 writes the log record of entry 5 at LSN 1211; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 commits entry 3 [majority-commit]
    n3/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 applies entry 3: written as version 3 [apply-only-committed]
    n3/0 acknowledges to n1 in epoch 3 that it has entries up to 5 durable [durable-ack]
    n1/0 counts n3 as having entries up to 5 durable
    n1/0 commits entries 4–5 [majority-commit]
    n1/0 applies entry 4: no key changes [apply-only-committed]
    n1/0 starts to serve in epoch 3: its marker, entry 4, is committed [own-epoch-commit]
    n1/0 applies entry 5: no key changes [apply-only-committed]
    n1/0 begins a checkpoint as of entry 5 (1 keys)
    n1/0 completes a checkpoint as of entry 5; the log before it may be reused [atomic-checkpoint]
> tick n1
    n1/0 sends a heartbeat to n2 in epoch 3, after entry 5; commit point 5
    n1/0 sends a heartbeat to n3 in epoch 3, after entry 5; commit point 5
> calm
    n3/0 commits entries 4–5 [majority-commit]
    n3/0 applies entry 4: no key changes [apply-only-committed]
    n3/0 applies entry 5: no key changes [apply-only-committed]
    n3/0 acknowledges to n1 in epoch 3 that it has entries up to 5 durable [durable-ack]
> tick n1
    n1/0 sends a heartbeat to n2 in epoch 3, after entry 5; commit point 5
    n1/0 sends a heartbeat to n3 in epoch 3, after entry 5; commit point 5
> calm
    n3/0 acknowledges to n1 in epoch 3 that it has entries up to 5 durable [durable-ack]
# n3 has entry 5, which n1 appended when n2 first asked, so n1 could make a checkpoint that reaches as far: n2 asks again.
> tick n2
    n2/0 fetches the state of n1 (epoch 3): a chunk did not come in time
> calm
    n1/0 sends n2 a chunk of its state as of entry 5
    n1/0 sends a heartbeat to n2 in epoch 3, after entry 5; commit point 5
    n1/0 sends a heartbeat to n3 in epoch 3, after entry 5; commit point 5
    n2/0 replaces its state with one as of entry 5, and promises epoch 3 [atomic-state-transfer]
    n2/0 has the state of n1 as of entry 5, and votes from epoch 3 on [atomic-state-transfer]
    n2/0 acknowledges to n1 in epoch 3 that it has entries up to 5 durable [durable-ack]
    n2/0 acknowledges to n1 in epoch 3 that it has entries up to 5 durable [durable-ack]
    n3/0 acknowledges to n1 in epoch 3 that it has entries up to 5 durable [durable-ack]
    n1/0 counts n2 as having entries up to 5 durable
> state
    n1: Primary in epoch 3, log [] (durable 5, committed 5, end 5)
    n2: Backup in epoch 3, log [] (durable 5, committed 5, end 5)
    n3: Backup in epoch 3, log [1@1 2@1 3@1 4@3 5@3] (durable 5, committed 5, end 5)
