# How far a replica knows the log to be committed does not say how complete its log is.
#
# n3 has heard of more commits than n2, and n2 has more entries. The entry that the client was told of is on n2.

> cluster 3
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> deliver n1 n3
    n3/0 appends entry 3 (epoch 1)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
> lose n1 n2
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
> tick n1
    n1/0 sends entry 3 to n2 in epoch 1; commit point 3
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 3; commit point 3
> deliver n1 n3
    n3/0 commits entry 3 [majority-commit]
    n3/0 applies entry 3: written as version 3 [apply-only-committed]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> lose n1 n2
> deliver n3 n1
# n3 knows that 3 is committed. n2 gets 3 and 4 and knows of neither; 4 is acknowledged with n2.
> write 2 to n1
    n1/0 receives request 2.2: put k
    n1/0 appends entry 4 (epoch 1)
    n1/0 writes the log record of entry 4 at LSN 1536; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n1/0 sends entry 4 to n3 in epoch 1; commit point 3
> sync n1
    n1/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
> lose n1 n3
> tick n1
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 3; commit point 3
    n1/0 sends entry 4 to n3 in epoch 1; commit point 3
> lose n1 n2
> lose n1 n3
> tick n1
    n1/0 sends entries 3–4 to n2 in epoch 1; commit point 3
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 4; commit point 3
> deliver n1 n2
    n2/0 appends entry 3 (epoch 1)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 appends entry 4 (epoch 1)
    n2/0 writes the log record of entry 4 at LSN 1130; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n2/0 commits entry 3 [majority-commit]
> sync n2
    n2/0 syncs batch 3: 2 writes, 1536 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 applies entry 3: written as version 3 [apply-only-committed]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
> deliver n2 n1
    n1/0 counts n2 as having entries up to 4 durable
    n1/0 commits entry 4 [majority-commit]
    n1/0 applies entry 4: written as version 4 [apply-only-committed]
    n1/0 answers request 2.2 to g1: written as version 4
    client: write 2 is written as version 4
> tick n1
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 4; commit point 4
    n1/0 sends entry 4 to n3 in epoch 1; commit point 4
> deliver n1 n2
    n2/0 commits entry 4 [majority-commit]
    n2/0 applies entry 4: written as version 4 [apply-only-committed]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
> sync n2
> deliver n2 n1
> lose n1 n3
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 4, end 4)
    n2: Backup in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 4, end 4)
    n3: Backup in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 3, end 3)
> takeover n3
    n3/0 stands for epoch 2
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n3 n2
    n2/0 promises epoch 2 to n3, and reports that its log ends with entry 4 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n2 n3
    n3/0 has n2's promise of epoch 2 (2 of 2) [promise-majority]
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 4, end 4)
    n2: Backup in epoch 2, log [1@1 2@1 3@1 4@1] (durable 4, committed 4, end 4)
    n3: Candidate in epoch 2, log [1@1 2@1 3@1] (durable 3, committed 3, end 3)
    on its way n3 → n1: PromiseRequest for epoch 2
