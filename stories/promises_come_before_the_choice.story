# Logs are compared only after the promises: a log that was reported earlier may have grown since.
#
# A gateway saw n3's log end where n2's does, and picked n2; meanwhile n1 commits an entry with n3. The promise stops
# n3 from taking more entries of n1, and its answer says where its log ends from then on. n2 sees that and gives up.

> cluster 3
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> lose n1 n2
> takeover n2
    n2/0 stands for epoch 2
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n1 n3 Prepare
    n3/0 appends entry 3 (epoch 1)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
> sync n3
    n3/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> sync n1
    n1/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> deliver n3 n1
    n1/0 counts n3 as having entries up to 3 durable
    n1/0 commits entry 3 [majority-commit]
    n1/0 applies entry 3: written as version 3 [apply-only-committed]
    n1/0 answers request 2.1 to g1: written as version 3
    client: write 1 is written as version 3
> deliver n2 n3 PromiseRequest
    n3/0 promises epoch 2 to n2, and reports that its log ends with entry 3 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n3 n2
    n2/0 has n3's promise of epoch 2 (2 of 2) [promise-majority]
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 3, end 3)
    n2: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    n3: Backup in epoch 2, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    on its way n2 → n1: PromiseRequest for epoch 2
