# A node promises a new epoch, loses its disk with the promise, and hears from the old primary first.
#
# n3 helped to elect n2 in epoch 2 and has forgotten it. n1, still primary of epoch 1, has not heard of epoch 2 and would
# gladly send n3 its state. If n3 voted again with that state, n1 and n3 would be a majority beside n2 and n3. So the
# state has to include an entry that n1 appended when n3 asked, committed by a majority without n3: by n2, who refuses.

> cluster 3
> takeover n2
    n2/0 stands for epoch 2
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> lose n2 n1
> deliver n2 n3
    n3/0 promises epoch 2 to n2, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n3 n2
    n2/0 has n3's promise of epoch 2 (2 of 2) [promise-majority]
    n2/0 becomes primary of epoch 2; its log ends with entry 2 [promise-majority]
    n2/0 appends entry 3 (epoch 2)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 sends entry 3 to n1 in epoch 2; commit point 2
    n2/0 sends entry 3 to n3 in epoch 2; commit point 2
> sync n2
    n2/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> wipe n3
    n3/0 opens its device: checkpoint as of entry 0, log up to entry 0; 0 bytes of torn tail discarded (log life 2) [stale-log-rejection]
> lose n2 n1
> lose n2 n3
> write 1 to n1
    n1/0 receives request 2.1: put k
    n1/0 appends entry 3 (epoch 1)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
> sync n1
    n1/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> deliver n1 n3 Prepare
    n3/0 follows n1 in epoch 1
    n3/0 fetches the state of n1 (epoch 1): its log is unproven
> deliver n3 n1 Pull
    n1/0 appends entry 4 (epoch 1)
    n1/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 1; commit point 2
    n1/0 sends entry 4 to n3 in epoch 1; commit point 2
# n1 appends entry 4, which the state has to include. n3 does not take it, and n2 refuses.
> deliver n1 n3 Prepare
> deliver n1 n2 Prepare
    n2/0 refuses n1, which speaks for epoch 1: it has promised epoch 2 [epoch-fence]
    n2/0 refuses n1, which speaks for epoch 1: it has promised epoch 2 [epoch-fence]
> deliver n2 n1
    n1/0 steps down as primary of epoch 1: epoch 2 exists
> state
    n1: Backup in epoch 1, log [1@1 2@1 3@1 4@1] (durable 3, committed 2, end 4)
    n2: Primary in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 2, end 3)
    n3: Backup in epoch 0, log [] (durable 0, committed 0, end 0)
