# A node promises an epoch, crashes before anything else happens, and is asked for the same epoch by somebody else.
#
# The promise was durable before it was answered, so after the restart it still stands: the second candidate gets none,
# and the epoch has one primary.

> cluster 3
> takeover n2
    n2/0 stands for epoch 2
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n2 n3 PromiseRequest
    n3/0 promises epoch 2 to n2, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> crash n3 keep 0
    n3/0 opens its device: checkpoint as of entry 0, log up to entry 2; 0 bytes of torn tail discarded (log life 3) [stale-log-rejection]
> state
    n1: Primary in epoch 1, log [1@1 2@1] (durable 2, committed 2, end 2)
    n2: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    n3: Backup in epoch 2, log [1@1 2@1] (durable 2, committed 0, end 2)
    on its way n2 → n1: PromiseRequest for epoch 2
    on its way n3 → n2: Promised epoch 2, log ends with entry 2 (epoch 1)
# n1 crashed too, comes back as a backup, and stands for the same epoch.
> crash n1 keep 0
    n1/0 opens its device: checkpoint as of entry 0, log up to entry 2; 0 bytes of torn tail discarded (log life 3) [stale-log-rejection]
> takeover n1
    n1/0 stands for epoch 2
    n1/0 stores the promise of epoch 2 in both superblocks (generation 10) [ab-superblock]
> deliver n1 n3 PromiseRequest
    n3/0 refuses to promise epoch 2 to n1: it has promised epoch 2 [one-candidate-per-epoch]
> deliver n3 n1
> deliver n3 n2
    n2/0 has n3's promise of epoch 2 (2 of 2) [promise-majority]
    n2/0 becomes primary of epoch 2; its log ends with entry 2 [promise-majority]
    n2/0 appends entry 3 (epoch 2)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 sends entry 3 to n1 in epoch 2; commit point 2
    n2/0 sends entry 3 to n3 in epoch 2; commit point 2
> state
    n1: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 0, end 2)
    n2: Primary in epoch 2, log [1@1 2@1 3@2] (durable 2, committed 2, end 3)
    n3: Backup in epoch 2, log [1@1 2@1] (durable 2, committed 0, end 2)
    on its way n2 → n1: PromiseRequest for epoch 2
    on its way n1 → n2: PromiseRequest for epoch 2
    on its way n2 → n1: Prepare in epoch 2: entry 3 after entry 2 (epoch 1), committed 2
    on its way n2 → n3: Prepare in epoch 2: entry 3 after entry 2 (epoch 1), committed 2
