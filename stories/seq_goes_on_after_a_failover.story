# A new primary goes on where the log ends: its first entry is behind everything it inherited.
#
# If it began to count anew, its backups would answer "already have it" to entries that they do not have, and an
# acknowledged write would be lost.

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
> takeover n3
    n3/0 stands for epoch 2
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> calm without n1
    n2/0 promises epoch 2 to n3, and reports that its log ends with entry 3 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n3/0 has n2's promise of epoch 2 (2 of 2) [promise-majority]
    n3/0 becomes primary of epoch 2; its log ends with entry 3 [promise-majority]
    n3/0 appends entry 4 (epoch 2)
    n3/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 sends entry 4 to n1 in epoch 2; commit point 2
    n3/0 sends entry 4 to n2 in epoch 2; commit point 2
    n3/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 follows n3 in epoch 2
    n2/0 appends entry 4 (epoch 2)
    n2/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 acknowledges to n3 in epoch 2 that it has entries up to 4 durable [durable-ack]
    n3/0 counts n2 as having entries up to 4 durable
    n3/0 commits entries 3–4 [majority-commit]
    n3/0 applies entry 3: written as version 3 [apply-only-committed]
    n3/0 answers request 2.1 to g1: written as version 3
    n3/0 applies entry 4: no key changes [apply-only-committed]
    n3/0 starts to serve in epoch 2: its marker, entry 4, is committed [own-epoch-commit]
> write 2 to n3
    n3/0 receives request 2.2: put k
    n3/0 appends entry 5 (epoch 2)
    n3/0 writes the log record of entry 5 at LSN 2048; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n3/0 sends entry 5 to n2 in epoch 2; commit point 4
> calm without n1
    n3/0 syncs batch 5: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2560 [ack-after-sync]
    n2/0 appends entry 5 (epoch 2)
    n2/0 writes the log record of entry 5 at LSN 2048; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n2/0 commits entries 3–4 [majority-commit]
    n2/0 applies entry 3: written as version 3 [apply-only-committed]
    n2/0 applies entry 4: no key changes [apply-only-committed]
    n2/0 syncs batch 5: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2560 [ack-after-sync]
    n2/0 acknowledges to n3 in epoch 2 that it has entries up to 5 durable [durable-ack]
    n3/0 counts n2 as having entries up to 5 durable
    n3/0 commits entry 5 [majority-commit]
    n3/0 applies entry 5: written as version 5 [apply-only-committed]
    n3/0 answers request 2.2 to g1: written as version 5
    client: write 2 is written as version 5
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 3, end 3)
    n2: Backup in epoch 2, log [1@1 2@1 3@1 4@2 5@2] (durable 5, committed 4, end 5)
    n3: Primary in epoch 2, log [1@1 2@1 3@1 4@2 5@2] (durable 5, committed 5, end 5)
