# Five nodes. n3 promises an epoch to a candidate, loses its disk with the promise, and votes again in the old epoch. Its
# forgotten promise is still counted by the candidate, who needs one more.

> cluster 5
> takeover n2
    n2/0 stands for epoch 2
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n2 n3
    n3/0 promises epoch 2 to n2, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n3 n2
    n2/0 has n3's promise of epoch 2 (2 of 3) [promise-majority]
# n2 has two promises of three. n3's disk is replaced by an empty one; n1, which has not heard of epoch 2, sends its state.
> wipe n3
    n3/0 opens its device: checkpoint as of entry 0, log up to entry 0; 0 bytes of torn tail discarded (log life 2) [stale-log-rejection]
> tick n1
> tick n1
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 2; commit point 2
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 2; commit point 2
    n1/0 sends a heartbeat to n4 in epoch 1, after entry 2; commit point 2
    n1/0 sends a heartbeat to n5 in epoch 1, after entry 2; commit point 2
> deliver n1 n3
    n3/0 follows n1 in epoch 1
    n3/0 fetches the state of n1 (epoch 1): its log is unproven
> deliver n3 n1 Pull
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
    n1/0 sends entry 3 to n4 in epoch 1; commit point 2
    n1/0 sends entry 3 to n5 in epoch 1; commit point 2
# With n3's question n1 has appended entry 3: the state must include it, so n4 and n5 have it before n3 votes again.
> deliver n1 n4
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 2 durable [durable-ack]
    n4/0 appends entry 3 (epoch 1)
    n4/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
> deliver n1 n5
    n5/0 acknowledges to n1 in epoch 1 that it has entries up to 2 durable [durable-ack]
    n5/0 appends entry 3 (epoch 1)
    n5/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
> sync n1
    n1/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> sync n4
    n4/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> sync n5
    n5/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n5/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> deliver n4 n1
    n1/0 counts n4 as having entries up to 3 durable
> deliver n5 n1
    n1/0 counts n5 as having entries up to 3 durable
    n1/0 commits entry 3 [majority-commit]
    n1/0 applies entry 3: no key changes [apply-only-committed]
    n1/0 begins a checkpoint as of entry 3 (0 keys)
    n1/0 completes a checkpoint as of entry 3; the log before it may be reused [atomic-checkpoint]
> tick n3
    n3/0 fetches the state of n1 (epoch 1): a chunk did not come in time
> deliver n3 n1 Pull
    n1/0 sends n3 a chunk of its state as of entry 3
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 3; commit point 3
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 3; commit point 3
    n1/0 sends a heartbeat to n4 in epoch 1, after entry 3; commit point 3
    n1/0 sends a heartbeat to n5 in epoch 1, after entry 3; commit point 3
> deliver n1 n3 Chunk
    n3/0 replaces its state with one as of entry 3, and promises epoch 1 [atomic-state-transfer]
    n3/0 has the state of n1 as of entry 3, and votes from epoch 1 on [atomic-state-transfer]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> sync n3
> deliver n3 n1 PrepareOk
    n1/0 counts n3 as having entries up to 3 durable
# n3 votes again, in epoch 1, and a write is committed with its help: on n1, n3 and n4.
> lose n1 n5
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 4 (epoch 1)
    n1/0 writes the log record of entry 4 at LSN 1536; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 1; commit point 3
    n1/0 sends entry 4 to n3 in epoch 1; commit point 3
    n1/0 sends entry 4 to n4 in epoch 1; commit point 3
    n1/0 sends entry 4 to n5 in epoch 1; commit point 3
> lose n1 n5
> deliver n1 n3
    n3/0 keeps its entries up to 3, which n1 sends again [truncate-only-on-conflict]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n3/0 appends entry 4 (epoch 1)
    n3/0 writes the log record of entry 4 at LSN 0; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
> deliver n1 n4
    n4/0 commits entry 3 [majority-commit]
    n4/0 applies entry 3: no key changes [apply-only-committed]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n4/0 appends entry 4 (epoch 1)
    n4/0 writes the log record of entry 4 at LSN 1536; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
> sync n1
    n1/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
> sync n3
    n3/0 syncs batch 1: 2 writes, 1024 bytes, 0 µs; durable up to LSN 512 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
> sync n4
    n4/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
> deliver n3 n1
    n1/0 counts n3 as having entries up to 4 durable
> deliver n4 n1
    n1/0 counts n4 as having entries up to 4 durable
    n1/0 commits entry 4 [majority-commit]
    n1/0 applies entry 4: written as version 4 [apply-only-committed]
    n1/0 answers request 2.1 to g1: written as version 4
    client: write 1 is written as version 4
# Now n2's request for a promise reaches n5. Two promises and this one would be a majority, without the write. But n5 has
# entry 3, which n2 cannot have: n2 stood before n3 forgot, and n1 appended it after.
> deliver n2 n5
    n5/0 promises epoch 2 to n2, and reports that its log ends with entry 3 (epoch 1) [durable-promise]
    n5/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n5 n2
    n2/0 has n5's promise of epoch 2 (3 of 3) [promise-majority]
> state
    n1: Primary in epoch 1, log [4@1] (durable 4, committed 4, end 4)
    n2: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    n3: Backup in epoch 1, log [4@1] (durable 4, committed 3, end 4)
    n4: Backup in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 3, end 4)
    n5: Backup in epoch 2, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    on its way n2 → n1: PromiseRequest for epoch 2
    on its way n2 → n4: PromiseRequest for epoch 2
    on its way n1 → n2: Prepare in epoch 1: no entries after entry 2 (epoch 1), committed 2
    on its way n1 → n2: Prepare in epoch 1: entry 3 after entry 2 (epoch 1), committed 2
    on its way n1 → n2: Prepare in epoch 1: no entries after entry 3 (epoch 1), committed 3
    on its way n1 → n2: Prepare in epoch 1: entry 4 after entry 3 (epoch 1), committed 3
