# The primary hears its backups, and they do not hear it.
#
# It cannot commit, and says so in its status ("cut off"); a gateway calls for a takeover. When the partition heals, the
# old primary learns of the greater epoch from the first message that it sends or gets.

> cluster 3
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> sync n1
    n1/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> lose n1 n2
> lose n1 n3
> takeover n2
    n2/0 stands for epoch 2
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> lose n2 n1
> calm without n1
    n3/0 promises epoch 2 to n2, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n2/0 has n3's promise of epoch 2 (2 of 2) [promise-majority]
    n2/0 becomes primary of epoch 2; its log ends with entry 2 [promise-majority]
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
    n2/0 starts to serve in epoch 2: its marker, entry 3, is committed [own-epoch-commit]
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    n2: Primary in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 3, end 3)
    n3: Backup in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 2, end 3)
# It heals. n1 sends the entry again, and is told.
> tick n1
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> deliver n1 n2
    n2/0 refuses n1, which speaks for epoch 1: it has promised epoch 2 [epoch-fence]
    n2/0 sends entry 3 to n1 in epoch 2; commit point 3
    n2/0 sends a heartbeat to n3 in epoch 2, after entry 3; commit point 3
> deliver n2 n1
    n1/0 steps down as primary of epoch 1: epoch 2 exists
    n1/0 follows n2 in epoch 2
    n1/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n1/0 truncates entry 3 to follow the primary's log [truncate-on-conflict]
    n1/0 puts into its batch, at LSN 1536, that the log is truncated from entry 3 on
    n1/0 appends entry 3 (epoch 2)
    n1/0 writes the log record of entry 3 at LSN 1608; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 commits entry 3 [majority-commit]
> state
    n1: Backup in epoch 2, log [1@1 2@1 3@2] (durable 2, committed 3, end 3)
    n2: Primary in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 3, end 3)
    n3: Backup in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 2, end 3)
    on its way n1 → n3: Prepare in epoch 1: entry 3 after entry 2 (epoch 1), committed 2
    on its way n2 → n3: Prepare in epoch 2: no entries after entry 3 (epoch 2), committed 3
> tick n2
    n2/0 sends a heartbeat to n1 in epoch 2, after entry 3; commit point 3
    n2/0 sends a heartbeat to n3 in epoch 2, after entry 3; commit point 3
> lose n2 n1
> tick n2
    n2/0 sends entry 3 to n1 in epoch 2; commit point 3
    n2/0 sends a heartbeat to n3 in epoch 2, after entry 3; commit point 3
> calm
    n1/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n1/0 applies entry 3: no key changes [apply-only-committed]
    n1/0 acknowledges to n2 in epoch 2 that it has entries up to 3 durable [durable-ack]
    n3/0 refuses n1, which speaks for epoch 1: it has promised epoch 2 [epoch-fence]
    n3/0 commits entry 3 [majority-commit]
    n3/0 applies entry 3: no key changes [apply-only-committed]
    n3/0 acknowledges to n2 in epoch 2 that it has entries up to 3 durable [durable-ack]
    n3/0 acknowledges to n2 in epoch 2 that it has entries up to 3 durable [durable-ack]
    n1/0 keeps its entries up to 3, which n2 sends again [truncate-only-on-conflict]
    n1/0 acknowledges to n2 in epoch 2 that it has entries up to 3 durable [durable-ack]
    n3/0 acknowledges to n2 in epoch 2 that it has entries up to 3 durable [durable-ack]
    n2/0 counts n1 as having entries up to 3 durable
> tick n2
    n2/0 sends a heartbeat to n1 in epoch 2, after entry 3; commit point 3
    n2/0 sends a heartbeat to n3 in epoch 2, after entry 3; commit point 3
> calm
    n1/0 acknowledges to n2 in epoch 2 that it has entries up to 3 durable [durable-ack]
    n3/0 acknowledges to n2 in epoch 2 that it has entries up to 3 durable [durable-ack]
> state
    n1: Backup in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 3, end 3)
    n2: Primary in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 3, end 3)
    n3: Backup in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 3, end 3)
