# A primary crashes before its sync; a backup already holds the entry that the primary has lost.
#
# The primary must not go on in its old epoch: it would give the same seq another content. After any restart a replica is
# a backup, and leads again only in a greater epoch.

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
> sync n2
    n2/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> lose n1 n3
> crash n1 keep 0
    n1/0 opens its device: checkpoint as of entry 0, log up to entry 2; 0 bytes of torn tail discarded (log life 3) [stale-log-rejection]
> state
    n1: Backup in epoch 1, log [1@1 2@1] (durable 2, committed 0, end 2)
    n2: Backup in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    n3: Backup in epoch 1, log [1@1 2@1] (durable 2, committed 2, end 2)
    on its way n2 → n1: PrepareOk in epoch 1: durable up to 3
# The acknowledgement arrives at a node that leads nothing any more.
> deliver n2 n1
> write 2 to n1
    n1/0 receives request 2.2: put k
    n1/0 refuses request 2.2: it is not the primary
> takeover n1
    n1/0 stands for epoch 2
    n1/0 stores the promise of epoch 2 in both superblocks (generation 10) [ab-superblock]
> deliver n1 n2
    n2/0 promises epoch 2 to n1, and reports that its log ends with entry 3 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n2 n1
    n1/0 has n2's promise of epoch 2 (2 of 2) [promise-majority]
# n2's log is more complete. n1 cannot lead with n2; n2 can.
> lose n1 n3
> tick n1
    n1/0 abandons its candidacy for epoch 2: no majority answered in time
> takeover n2 above 2
    n2/0 stands for epoch 3
    n2/0 stores the promise of epoch 3 in both superblocks (generation 10) [ab-superblock]
> calm
    n1/0 promises epoch 3 to n2, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n1/0 stores the promise of epoch 3 in both superblocks (generation 12) [ab-superblock]
    n3/0 promises epoch 3 to n2, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 3 in both superblocks (generation 8) [ab-superblock]
    n2/0 has n1's promise of epoch 3 (2 of 2) [promise-majority]
    n2/0 becomes primary of epoch 3; its log ends with entry 3 [promise-majority]
    n2/0 appends entry 4 (epoch 3)
    n2/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 sends entry 4 to n1 in epoch 3; commit point 2
    n2/0 sends entry 4 to n3 in epoch 3; commit point 2
    n2/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n1/0 follows n2 in epoch 3
    n1/0 refuses entries from n2 in epoch 3: its own log does not match at entry 3 [log-matching]
    n3/0 follows n2 in epoch 3
    n3/0 refuses entries from n2 in epoch 3: its own log does not match at entry 3 [log-matching]
    n2/0 sends entries 3–4 to n1 in epoch 3; commit point 2
    n2/0 sends entries 3–4 to n3 in epoch 3; commit point 2
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 appends entry 4 (epoch 3)
    n1/0 writes the log record of entry 4 at LSN 1130; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 commits entries 1–2 [majority-commit]
    n1/0 applies entry 1: no key changes [apply-only-committed]
    n1/0 applies entry 2: no key changes [apply-only-committed]
    n1/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n1/0 acknowledges to n2 in epoch 3 that it has entries up to 4 durable [durable-ack]
    n3/0 appends entry 3 (epoch 1)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 appends entry 4 (epoch 3)
    n3/0 writes the log record of entry 4 at LSN 1130; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 acknowledges to n2 in epoch 3 that it has entries up to 4 durable [durable-ack]
    n2/0 counts n1 as having entries up to 4 durable
    n2/0 commits entries 3–4 [majority-commit]
    n2/0 applies entry 3: written as version 3 [apply-only-committed]
    n2/0 answers request 2.1 to g1: written as version 3
    n2/0 applies entry 4: no key changes [apply-only-committed]
    n2/0 starts to serve in epoch 3: its marker, entry 4, is committed [own-epoch-commit]
    n2/0 counts n3 as having entries up to 4 durable
    client: write 1 is written as version 3
> write 1 to n2
    n2/0 receives request 2.1: put k
    n2/0 answers request 2.1 to g1: written as version 3
> calm
> state
    n1: Backup in epoch 3, log [1@1 2@1 3@1 4@3] (durable 4, committed 2, end 4)
    n2: Primary in epoch 3, log [1@1 2@1 3@1 4@3] (durable 4, committed 4, end 4)
    n3: Backup in epoch 3, log [1@1 2@1 3@1 4@3] (durable 4, committed 2, end 4)
