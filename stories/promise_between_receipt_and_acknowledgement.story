# Entries are checked against the epoch, and a newer epoch is promised before they are durable.
#
# Checking first and acting later, with room for a promise in between, would let entries of the old epoch in behind the
# newer one's back. Here each message is handled whole: what came before the promise is in the log whose end the promise
# tells, and what comes after it is refused.

> cluster 3
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> takeover n3
    n3/0 stands for epoch 2
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
# n2 takes the entry, and before its sync returns it is asked for its promise.
> deliver n1 n2 Prepare
    n2/0 appends entry 3 (epoch 1)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
> deliver n3 n2 PromiseRequest
    n2/0 promises epoch 2 to n3, and reports that its log ends with entry 3 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> sync n2
    n2/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
# Another write, sent by n1, which has not heard of epoch 2 yet, comes too late.
> write 2 to n1
    n1/0 receives request 2.2: put k
    n1/0 appends entry 4 (epoch 1)
    n1/0 writes the log record of entry 4 at LSN 1130; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 1; commit point 2
    n1/0 sends entry 4 to n3 in epoch 1; commit point 2
> deliver n1 n2 Prepare
    n2/0 refuses n1, which speaks for epoch 1: it has promised epoch 2 [epoch-fence]
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1 4@1] (durable 2, committed 2, end 4)
    n2: Backup in epoch 2, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    n3: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    on its way n1 → n3: Prepare in epoch 1: entry 3 after entry 2 (epoch 1), committed 2
    on its way n3 → n1: PromiseRequest for epoch 2
    on its way n2 → n1: PrepareOk in epoch 1: durable up to 3
    on its way n2 → n3: Promised epoch 2, log ends with entry 3 (epoch 1)
    on its way n1 → n3: Prepare in epoch 1: entry 4 after entry 3 (epoch 1), committed 2
    on its way n2 → n1: Fenced by epoch 2
# n3 hears where n2's log ends: further than its own, so it does not lead.
> deliver n2 n3
    n3/0 has n2's promise of epoch 2 (2 of 2) [promise-majority]
> calm
    n1/0 syncs batch 3: 2 writes, 1536 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 refuses n1, which speaks for epoch 1: it has promised epoch 2 [epoch-fence]
    n1/0 promises epoch 2 to n3, and reports that its log ends with entry 4 (epoch 1) [durable-promise]
    n1/0 steps down as primary of epoch 1: epoch 2 exists
    n1/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n3/0 refuses n1, which speaks for epoch 1: it has promised epoch 2 [epoch-fence]
    n3/0 has n1's promise of epoch 2 (3 of 2) [promise-majority]
    n3/0 abandons its candidacy for epoch 2: another log is more complete
> state
    n1: Backup in epoch 2, log [1@1 2@1 3@1 4@1] (durable 4, committed 2, end 4)
    n2: Backup in epoch 2, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    n3: Backup in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
