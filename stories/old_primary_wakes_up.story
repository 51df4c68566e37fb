# A primary is paused, a successor commits, and the old one wakes up.
#
# It must neither acknowledge a write nor answer a read from the past. Both need a majority, and a majority has promised a
# greater epoch.

> cluster 3
> takeover n2
    n2/0 stands for epoch 2
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> calm without n1
    n3/0 agrees to epoch 2 of n2; its answer will say that its log ends with entry 2 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n2/0 counts n3's promise of epoch 2: with its own, 2 of the 2 that it needs [promise-majority]
    n2/0 becomes primary of epoch 2; its log ends with entry 2 (epoch 1) [promise-majority]
    n2/0 appends entry 3 (epoch 2)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 sends entry 3 to n1 in epoch 2; commit point 2
    n2/0 sends entry 3 to n3 in epoch 2; commit point 2
    n2/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 follows n2 in epoch 2
    n3/0 appends entry 3 (epoch 2)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 acknowledges to n2 in epoch 2 that it has entries up to 3 durable [durable-ack]
    n2/0 counts n3 as having entries up to 3 durable
    n2/0 commits entry 3 [majority-commit]
    n2/0 applies entry 3: no key changes [apply-only-committed]
    n2/0 starts to serve in epoch 2: its marker, entry 3 (epoch 2), is committed [own-epoch-commit]
> write 1 to n2
    n2/0 receives request 2.1: put k
    n2/0 appends entry 4 (epoch 2)
    n2/0 writes the log record of entry 4 at LSN 1536; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 sends entry 4 to n3 in epoch 2; commit point 3
> calm without n1
    n2/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n3/0 appends entry 4 (epoch 2)
    n3/0 writes the log record of entry 4 at LSN 1536; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 commits entry 3 [majority-commit]
    n3/0 applies entry 3: no key changes [apply-only-committed]
    n3/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n3/0 acknowledges to n2 in epoch 2 that it has entries up to 4 durable [durable-ack]
    n2/0 counts n3 as having entries up to 4 durable
    n2/0 commits entry 4 [majority-commit]
    n2/0 applies entry 4: written as version 4 [apply-only-committed]
    n2/0 answers request 2.1 to g1: written as version 4
    client: write 1 is written as version 4
# n1 wakes up and believes that it leads epoch 1.
> state
    n1: Primary in epoch 1, log [1@1 2@1] (durable 2, committed 2, end 2)
    n2: Primary in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 4, end 4)
    n3: Backup in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 3, end 4)
> write 2 to n1
    n1/0 receives request 2.2: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> sync n1
    n1/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> read from n1
    n1/0 lets read 1 wait until a majority confirms its epoch (round 1) [read-confirmation]
    n1/0 asks the other replicas whether they have promised an epoch after 1 (round 1) [read-confirmation]
> deliver n1 n3 Confirm
    n3/0 has promised epoch 2, and refuses n1's message of epoch 1 [epoch-fence]
> deliver n3 n1
    n1/0 steps down as primary of epoch 1: epoch 2 exists
    client: the read is refused
> state
    n1: Backup in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    n2: Primary in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 4, end 4)
    n3: Backup in epoch 2, log [1@1 2@1 3@2 4@2] (durable 4, committed 3, end 4)
    on its way n1 → n2: Prepare in epoch 1: entry 3 after entry 2 (epoch 1), committed 2
    on its way n1 → n3: Prepare in epoch 1: entry 3 after entry 2 (epoch 1), committed 2
    on its way n1 → n2: Confirm
