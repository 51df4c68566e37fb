# A write is answered. One replica gets a new disk, receives a state in which the entry is no longer in the log, and
# becomes primary. The write, sent once more, takes effect no second time: the table of answered requests came along.

> cluster 3
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> calm
    n1/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 appends entry 3 (epoch 1)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n3/0 appends entry 3 (epoch 1)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n1/0 counts n2 as having entries up to 3 durable
    n1/0 commits entry 3 [majority-commit]
    n1/0 applies entry 3: written as version 3 [apply-only-committed]
    n1/0 answers request 2.1 to g1: written as version 3
    n1/0 counts n3 as having entries up to 3 durable
    client: write 1 is written as version 3
> wipe n3
    n3/0 opens its device: checkpoint as of entry 0, log up to entry 0; 0 bytes of torn tail discarded (log life 2) [stale-log-rejection]
> tick all
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 3; commit point 3
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 3; commit point 3
> calm
    n2/0 commits entry 3 [majority-commit]
    n2/0 applies entry 3: written as version 3 [apply-only-committed]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n3/0 follows n1 in epoch 1
    n3/0 fetches the state of n1 (epoch 1): its log is unproven
    n1/0 appends entry 4 (epoch 1)
    n1/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 1; commit point 3
    n1/0 sends entry 4 to n3 in epoch 1; commit point 3
    n1/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 appends entry 4 (epoch 1)
    n2/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n1/0 counts n2 as having entries up to 4 durable
    n1/0 commits entry 4 [majority-commit]
    n1/0 applies entry 4: no key changes [apply-only-committed]
    n1/0 begins a checkpoint as of entry 4 (1 keys)
    n1/0 completes a checkpoint as of entry 4; the log before it may be reused [atomic-checkpoint]
> tick all
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 4; commit point 4
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 4; commit point 4
    n3/0 fetches the state of n1 (epoch 1): a chunk did not come in time
> calm
    n2/0 commits entry 4 [majority-commit]
    n2/0 applies entry 4: no key changes [apply-only-committed]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n1/0 sends n3 a chunk of its state as of entry 4
    n3/0 replaces its state with one as of entry 4, and promises epoch 1 [atomic-state-transfer]
    n3/0 has the state of n1 as of entry 4, and votes from epoch 1 on [atomic-state-transfer]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n1/0 counts n3 as having entries up to 4 durable
> tick all
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 4; commit point 4
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 4; commit point 4
> calm
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
> state
    n1: Primary in epoch 1, log [] (durable 4, committed 4, end 4)
    n2: Backup in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 4, end 4)
    n3: Backup in epoch 1, log [] (durable 4, committed 4, end 4)
> takeover n3 above 1
    n3/0 stands for epoch 2
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> calm
    n1/0 promises epoch 2 to n3, and reports that its log ends with entry 4 (epoch 1) [durable-promise]
    n1/0 steps down as primary of epoch 1: epoch 2 exists
    n1/0 stores the promise of epoch 2 in both superblocks (generation 10) [ab-superblock]
    n2/0 promises epoch 2 to n3, and reports that its log ends with entry 4 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n3/0 has n1's promise of epoch 2 (2 of 2) [promise-majority]
    n3/0 becomes primary of epoch 2; its log ends with entry 4 [promise-majority]
    n3/0 appends entry 5 (epoch 2)
    n3/0 writes the log record of entry 5 at LSN 0; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 sends entry 5 to n1 in epoch 2; commit point 4
    n3/0 sends entry 5 to n2 in epoch 2; commit point 4
    n3/0 syncs batch 1: 1 writes, 512 bytes, 0 µs; durable up to LSN 512 [ack-after-sync]
    n1/0 follows n3 in epoch 2
    n1/0 appends entry 5 (epoch 2)
    n1/0 writes the log record of entry 5 at LSN 2048; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 syncs batch 5: 1 writes, 512 bytes, 0 µs; durable up to LSN 2560 [ack-after-sync]
    n1/0 acknowledges to n3 in epoch 2 that it has entries up to 5 durable [durable-ack]
    n2/0 follows n3 in epoch 2
    n2/0 appends entry 5 (epoch 2)
    n2/0 writes the log record of entry 5 at LSN 2048; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 5: 1 writes, 512 bytes, 0 µs; durable up to LSN 2560 [ack-after-sync]
    n2/0 acknowledges to n3 in epoch 2 that it has entries up to 5 durable [durable-ack]
    n3/0 counts n1 as having entries up to 5 durable
    n3/0 commits entry 5 [majority-commit]
    n3/0 applies entry 5: no key changes [apply-only-committed]
    n3/0 starts to serve in epoch 2: its marker, entry 5, is committed [own-epoch-commit]
    n3/0 counts n2 as having entries up to 5 durable
> state
    n1: Backup in epoch 2, log [5@2] (durable 5, committed 4, end 5)
    n2: Backup in epoch 2, log [1@1 2@1 3@1 4@1 5@2] (durable 5, committed 4, end 5)
    n3: Primary in epoch 2, log [5@2] (durable 5, committed 5, end 5)
# Sent once more.
> write 1 to n3
    n3/0 receives request 2.1: put k
    n3/0 answers request 2.1 to g1: written as version 3
> calm
