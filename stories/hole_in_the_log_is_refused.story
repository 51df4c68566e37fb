# The message with entry 3 is lost, the one with entry 4 arrives: it is refused, and no hole comes into being.
#
# A backup that took entry 4 would acknowledge "everything up to 4" without having 3.

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
> write 2 to n1
    n1/0 receives request 2.2: put k
    n1/0 appends entry 4 (epoch 1)
    n1/0 writes the log record of entry 4 at LSN 1536; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 1; commit point 2
    n1/0 sends entry 4 to n3 in epoch 1; commit point 2
> sync n1
    n1/0 syncs batch 4: 2 writes, 1024 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
> deliver n1 n2
    n2/0 refuses entries from n1 in epoch 1: its own log does not match at entry 3 [log-matching]
> tick n1
    n1/0 sends entries 3–4 to n2 in epoch 1; commit point 2
    n1/0 sends entries 3–4 to n3 in epoch 1; commit point 2
> deliver n1 n2
    n2/0 appends entry 3 (epoch 1)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 appends entry 4 (epoch 1)
    n2/0 writes the log record of entry 4 at LSN 1130; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
> sync n2
    n2/0 syncs batch 3: 2 writes, 1536 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
> calm
    n3/0 refuses entries from n1 in epoch 1: its own log does not match at entry 3 [log-matching]
    n1/0 sends entries 3–4 to n2 in epoch 1; commit point 2
    n3/0 appends entry 3 (epoch 1)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 appends entry 4 (epoch 1)
    n3/0 writes the log record of entry 4 at LSN 1130; its value of 1 bytes goes to unit 1 [data-checksum-in-log]
    n3/0 syncs batch 3: 2 writes, 1536 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n1/0 counts n2 as having entries up to 4 durable
    n1/0 commits entries 3–4 [majority-commit]
    n1/0 applies entry 3: written as version 3 [apply-only-committed]
    n1/0 answers request 2.1 to g1: written as version 3
    n1/0 applies entry 4: written as version 4 [apply-only-committed]
    n1/0 answers request 2.2 to g1: written as version 4
    n1/0 sends entries 3–4 to n3 in epoch 1; commit point 4
    n2/0 keeps its entries up to 4, which n1 sends again [truncate-only-on-conflict]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n1/0 counts n3 as having entries up to 4 durable
    n3/0 keeps its entries up to 4, which n1 sends again [truncate-only-on-conflict]
    n3/0 commits entries 3–4 [majority-commit]
    n3/0 applies entry 3: written as version 3 [apply-only-committed]
    n3/0 applies entry 4: written as version 4 [apply-only-committed]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    client: write 1 is written as version 3
    client: write 2 is written as version 4
> state
    n1: Primary in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 4, end 4)
    n2: Backup in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 2, end 4)
    n3: Backup in epoch 1, log [1@1 2@1 3@1 4@1] (durable 4, committed 4, end 4)
