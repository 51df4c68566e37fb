# A primary that was cut off has entries that nobody else has. They were never acknowledged, and they have to go.

> cluster 3
# n1 is cut off. It takes two writes; nobody hears of them.
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> write 2 to n1
    n1/0 receives request 2.2: put k
    n1/0 appends entry 4 (epoch 1)
    n1/0 writes the log record of entry 4 at LSN 1130; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 1; commit point 2
    n1/0 sends entry 4 to n3 in epoch 1; commit point 2
> sync n1
    n1/0 syncs batch 3: 2 writes, 1536 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> lose n1 n2
> lose n1 n3
> takeover n3
    n3/0 stands for epoch 2
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> calm without n1
    n2/0 promises epoch 2 to n3, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n3/0 has n2's promise of epoch 2 (2 of 2) [promise-majority]
    n3/0 becomes primary of epoch 2; its log ends with entry 2 [promise-majority]
    n3/0 appends entry 3 (epoch 2)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 sends entry 3 to n1 in epoch 2; commit point 2
    n3/0 sends entry 3 to n2 in epoch 2; commit point 2
    n3/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 follows n3 in epoch 2
    n2/0 appends entry 3 (epoch 2)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n3 in epoch 2 that it has entries up to 3 durable [durable-ack]
    n3/0 counts n2 as having entries up to 3 durable
    n3/0 commits entry 3 [majority-commit]
    n3/0 applies entry 3: no key changes [apply-only-committed]
    n3/0 starts to serve in epoch 2: its marker, entry 3, is committed [own-epoch-commit]
> write 3 to n3
    n3/0 receives request 2.3: put k
    n3/0 appends entry 4 (epoch 2)
    n3/0 writes the log record of entry 4 at LSN 1536; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 sends entry 4 to n2 in epoch 2; commit point 3
> calm without n1
    n3/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 appends entry 4 (epoch 2)
    n2/0 writes the log record of entry 4 at LSN 1536; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 commits entry 3 [majority-commit]
    n2/0 applies entry 3: no key changes [apply-only-committed]
    n2/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 acknowledges to n3 in epoch 2 that it has entries up to 4 durable [durable-ack]
    n3/0 counts n2 as having entries up to 4 durable
    n3/0 commits entry 4 [majority-commit]
    n3/0 applies entry 4: written as version 4 [apply-only-committed]
    n3/0 answers request 2.3 to g1: written as version 4
    client: write 3 is written as version 4
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 2, end 4)
    n2: Backup in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 3, end 4)
    n3: Primary in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 4, end 4)
# The network heals; n3 speaks to n1.
> tick n3
    n3/0 sends entries 3–4 to n1 in epoch 2; commit point 4
    n3/0 sends a heartbeat to n2 in epoch 2, after entry 4; commit point 4
> calm
    n1/0 steps down as primary of epoch 1: epoch 2 exists
    n1/0 follows n3 in epoch 2
    n1/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n1/0 truncates entries 3–4 to follow the primary's log [truncate-on-conflict]
    n1/0 puts into its batch, at LSN 1536, that the log is truncated from entry 3 on
    n1/0 appends entry 3 (epoch 2)
    n1/0 writes the log record of entry 3 at LSN 1608; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 appends entry 4 (epoch 2)
    n1/0 writes the log record of entry 4 at LSN 1689; its value of 1 bytes goes to unit 2 [data-checksum-in-log]
    n1/0 commits entries 3–4 [majority-commit]
    n1/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n1/0 applies entry 3: no key changes [apply-only-committed]
    n1/0 applies entry 4: written as version 4 [apply-only-committed]
    n1/0 acknowledges to n3 in epoch 2 that it has entries up to 4 durable [durable-ack]
    n2/0 commits entry 4 [majority-commit]
    n2/0 applies entry 4: written as version 4 [apply-only-committed]
    n2/0 acknowledges to n3 in epoch 2 that it has entries up to 4 durable [durable-ack]
    n3/0 counts n1 as having entries up to 4 durable
> tick n3
    n3/0 sends a heartbeat to n1 in epoch 2, after entry 4; commit point 4
    n3/0 sends a heartbeat to n2 in epoch 2, after entry 4; commit point 4
> calm
    n1/0 acknowledges to n3 in epoch 2 that it has entries up to 4 durable [durable-ack]
    n2/0 acknowledges to n3 in epoch 2 that it has entries up to 4 durable [durable-ack]
> state
    n1: Backup in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 4, end 4)
    n2: Backup in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 4, end 4)
    n3: Primary in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 4, end 4)
