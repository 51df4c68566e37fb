# An entry of an old epoch is on a majority, and is still not committed (Raft, figure 8).
#
# n1 appends entry 3 in epoch 1 and sends it to n2 only. n3 leads epoch 2 and appends its marker, also as entry 3, on
# its own device only. n1 leads epoch 3 and sends entry 3 to n2 again: two of three have it. If that counted, n3 could
# still lead epoch 4 with the more recent log and remove it. So n1 commits nothing before an entry of its own epoch.

> cluster 3
> frames 1
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
# n3 leads epoch 2 with the promise of n2, and is cut off before anybody has its marker.
> takeover n3
    n3/0 stands for epoch 2
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n3 n2 PromiseRequest
    n2/0 promises epoch 2 to n3, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
> deliver n2 n3
    n3/0 has n2's promise of epoch 2 (2 of 2) [promise-majority]
    n3/0 becomes primary of epoch 2; its log ends with entry 2 [promise-majority]
    n3/0 appends entry 3 (epoch 2)
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 sends entry 3 to n1 in epoch 2; commit point 2
    n3/0 sends entry 3 to n2 in epoch 2; commit point 2
> sync n3
    n3/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
> lose n3 n1
> lose n3 n2
# n1 leads epoch 3 with the promise of n2. n2 gets entry 3, and acknowledges it.
> takeover n1 above 2
    n1/0 steps down as primary of epoch 1: epoch 2 exists
    n1/0 stands for epoch 3
    n1/0 stores the promise of epoch 3 in both superblocks (generation 8) [ab-superblock]
> deliver n1 n2 PromiseRequest
    n2/0 promises epoch 3 to n1, and reports that its log ends with entry 2 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 3 in both superblocks (generation 10) [ab-superblock]
> deliver n2 n1
    n1/0 has n2's promise of epoch 3 (2 of 2) [promise-majority]
    n1/0 becomes primary of epoch 3; its log ends with entry 3 [promise-majority]
    n1/0 appends entry 4 (epoch 3)
    n1/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 3; commit point 2
    n1/0 sends entry 4 to n3 in epoch 3; commit point 2
> lose n1 n3
> deliver n1 n2
    n2/0 follows n1 in epoch 3
    n2/0 refuses entries from n1 in epoch 3: its own log does not match at entry 3 [log-matching]
> deliver n2 n1
    n1/0 sends entries 3–4 to n2 in epoch 3; commit point 2
> sync n1
    n1/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
> deliver n1 n2
    n2/0 appends entry 3 (epoch 1)
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 1 bytes goes to unit 0 [data-checksum-in-log]
> sync n2
    n2/0 syncs batch 3: 2 writes, 1024 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 3 that it has entries up to 3 durable [durable-ack]
> deliver n2 n1
    n1/0 counts n2 as having entries up to 3 durable
    n1/0 sends entry 4 to n2 in epoch 3; commit point 2
# Entry 3 is durable on n1 and n2, a majority. It is not committed: it is of epoch 1, and this is epoch 3.
> state
    n1: Primary in epoch 3, log [1@1 2@1 3@1 4@3] (durable 4, committed 2, end 4)
    n2: Backup in epoch 3, log [1@1 2@1 3@1] (durable 3, committed 2, end 3)
    n3: Primary in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 2, end 3)
    on its way n1 → n2: Prepare in epoch 3: entry 4 after entry 3 (epoch 1), committed 2
> deliver n1 n2
    n2/0 appends entry 4 (epoch 3)
    n2/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
> sync n2
    n2/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 3 that it has entries up to 4 durable [durable-ack]
> deliver n2 n1
    n1/0 counts n2 as having entries up to 4 durable
    n1/0 commits entries 3–4 [majority-commit]
    n1/0 applies entry 3: written as version 3 [apply-only-committed]
    n1/0 answers request 2.1 to g1: written as version 3
    n1/0 applies entry 4: no key changes [apply-only-committed]
    n1/0 starts to serve in epoch 3: its marker, entry 4, is committed [own-epoch-commit]
    client: write 1 is written as version 3
# The marker, entry 4, is on a majority. Entry 3 is committed with it.
> state
    n1: Primary in epoch 3, log [1@1 2@1 3@1 4@3] (durable 4, committed 4, end 4)
    n2: Backup in epoch 3, log [1@1 2@1 3@1 4@3] (durable 4, committed 2, end 4)
    n3: Primary in epoch 2, log [1@1 2@1 3@2] (durable 3, committed 2, end 3)
# From here on n3 cannot lead without them: its log ends in epoch 2, n2's in epoch 3.
> takeover n3 above 3
    n3/0 steps down as primary of epoch 2: epoch 3 exists
    n3/0 stands for epoch 4
    n3/0 stores the promise of epoch 4 in both superblocks (generation 10) [ab-superblock]
> deliver n3 n2
    n2/0 promises epoch 4 to n3, and reports that its log ends with entry 4 (epoch 3) [durable-promise]
    n2/0 stores the promise of epoch 4 in both superblocks (generation 12) [ab-superblock]
> deliver n2 n3
    n3/0 has n2's promise of epoch 4 (2 of 2) [promise-majority]
> state
    n1: Primary in epoch 3, log [1@1 2@1 3@1 4@3] (durable 4, committed 4, end 4)
    n2: Backup in epoch 4, log [1@1 2@1 3@1 4@3] (durable 4, committed 2, end 4)
    n3: Candidate in epoch 4, log [1@1 2@1 3@2] (durable 3, committed 2, end 3)
    on its way n3 → n1: PromiseRequest for epoch 4
