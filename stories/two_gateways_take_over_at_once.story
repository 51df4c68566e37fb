# Two gateways suspect the primary at the same moment and ask two nodes to take over.
#
# Both candidates pick epoch 2. Each has promised it to itself, so neither promises it to the other; the third node
# promises it to the first that asks, and to nobody else.

> cluster 3
> takeover n2
    n2/0 stands for epoch 2
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> takeover n3
    n3/0 stands for epoch 2
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> lose n2 n1
> lose n3 n1
> deliver n2 n3 PromiseRequest
    n3/0 refuses to promise epoch 2 to n2: it has promised epoch 2 [one-candidate-per-epoch]
> deliver n3 n2 PromiseRequest
    n2/0 refuses to promise epoch 2 to n3: it has promised epoch 2 [one-candidate-per-epoch]
> state
    n1: Primary in epoch 1, log [1@1 2@1] (durable 2, committed 2, end 2)
    n2: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    n3: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    on its way n3 → n2: Fenced by epoch 2
    on its way n2 → n3: Fenced by epoch 2
# n1 wakes up: n3's request reaches it first.
> takeover n3
> tick n2
    n2/0 abandons its candidacy for epoch 2: no majority answered in time
> tick n3
    n3/0 abandons its candidacy for epoch 2: no majority answered in time
> takeover n3
    n3/0 stands for epoch 3
    n3/0 stores the promise of epoch 3 in both superblocks (generation 10) [ab-superblock]
> deliver n3 n1 PromiseRequest
    n1/0 promises epoch 3 to n3, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n1/0 steps down as primary of epoch 1: epoch 3 exists
    n1/0 stores the promise of epoch 3 in both superblocks (generation 8) [ab-superblock]
> deliver n1 n3
    n3/0 has n1's promise of epoch 3 (2 of 2) [promise-majority]
    n3/0 becomes primary of epoch 3; its log ends with entry 2 [promise-majority]
    n3/0 appends entry 3 (epoch 3)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 sends entry 3 to n1 in epoch 3; commit point 2
    n3/0 sends entry 3 to n2 in epoch 3; commit point 2
> calm
    n3/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 promises epoch 3 to n3, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 3 in both superblocks (generation 10) [ab-superblock]
    n1/0 follows n3 in epoch 3
    n1/0 appends entry 3 (epoch 3)
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n1/0 acknowledges to n3 in epoch 3 that it has entries up to 3 durable [durable-ack]
    n2/0 follows n3 in epoch 3
    n2/0 appends entry 3 (epoch 3)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n3 in epoch 3 that it has entries up to 3 durable [durable-ack]
    n3/0 counts n1 as having entries up to 3 durable
    n3/0 commits entry 3 [majority-commit]
    n3/0 applies entry 3: no key changes [apply-only-committed]
    n3/0 starts to serve in epoch 3: its marker, entry 3, is committed [own-epoch-commit]
    n3/0 counts n2 as having entries up to 3 durable
> state
    n1: Backup in epoch 3, log [1@1 2@1 3@3] (durable 3, committed 2, end 3)
    n2: Backup in epoch 3, log [1@1 2@1 3@3] (durable 3, committed 2, end 3)
    n3: Primary in epoch 3, log [1@1 2@1 3@3] (durable 3, committed 3, end 3)
