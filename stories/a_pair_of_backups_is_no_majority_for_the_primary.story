# Both backups have the entry durable before the primary has. Two of three are a majority, and it is not committed yet.
#
# The primary answers from its own state. If it counted the two others and lost power, it would come back behind what it
# said itself; so it is always one of those that are counted.

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
> deliver n1 n3
    n3/0 appends entry 3 (epoch 1)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
> sync n2
    n2/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> sync n3
    n3/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
> deliver n2 n1
    n1/0 counts n2 as having entries up to 3 durable
> deliver n3 n1
    n1/0 counts n3 as having entries up to 3 durable
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1] (durable 2, committed 2, end 3)
    n2: Backup in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    n3: Backup in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
# Its own sync returns: now it is committed, and the client hears of it.
> sync n1
    n1/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n1/0 commits entry 3 [majority-commit]
    n1/0 applies entry 3: written as version 3 [apply-only-committed]
    n1/0 answers request 2.1 to g1: written as version 3
    client: write 1 is written as version 3
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 3, end 3)
    n2: Backup in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    n3: Backup in epoch 1, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
