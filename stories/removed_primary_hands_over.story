# The primary is replaced: another node is added, learns and counts; then the primary removes itself.
#
# It does not count itself any more, and has the most complete of the others lead as soon as its removal is committed.

> cluster 4
> founders 3
> with membership
> add n4 at n1
    n1/0 appends entry 3 (epoch 1)
    n1/0 has entry 3 (add n4): from now on n1, n2, n3 count [config-when-appended]
    n1/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 3 to n2 in epoch 1; commit point 2
    n1/0 sends entry 3 to n3 in epoch 1; commit point 2
    client: n1 says: the change is in its log as entry 3
> calm
    n1/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 appends entry 3 (epoch 1)
    n2/0 has entry 3 (add n4): from now on n1, n2, n3 count [config-when-appended]
    n2/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n3/0 appends entry 3 (epoch 1)
    n3/0 has entry 3 (add n4): from now on n1, n2, n3 count [config-when-appended]
    n3/0 writes the log record of entry 3 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n1/0 counts n2 as having entries up to 3 durable
    n1/0 commits entry 3 [majority-commit]
    n1/0 applies entry 3: no key changes [apply-only-committed]
    n1/0 counts n3 as having entries up to 3 durable
> wait 4
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 3; commit point 3
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 3; commit point 3
    n1/0 sends a heartbeat to n4 in epoch 1, after entry 3; commit point 3
    n2/0 commits entry 3 [majority-commit]
    n2/0 applies entry 3: no key changes [apply-only-committed]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n3/0 commits entry 3 [majority-commit]
    n3/0 applies entry 3: no key changes [apply-only-committed]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 3 durable [durable-ack]
    n4/0 follows n1 in epoch 1
    n4/0 fetches the state of n1 (epoch 1): its log is unproven
    n1/0 appends entry 4 (epoch 1)
    n1/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 4 to n2 in epoch 1; commit point 3
    n1/0 sends entry 4 to n3 in epoch 1; commit point 3
    n1/0 sends entry 4 to n4 in epoch 1; commit point 3
    n1/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 appends entry 4 (epoch 1)
    n2/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n3/0 appends entry 4 (epoch 1)
    n3/0 writes the log record of entry 4 at LSN 1536; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 syncs batch 4: 1 writes, 512 bytes, 0 µs; durable up to LSN 2048 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n1/0 counts n2 as having entries up to 4 durable
    n1/0 commits entry 4 [majority-commit]
    n1/0 applies entry 4: no key changes [apply-only-committed]
    n1/0 begins a checkpoint as of entry 4 (0 keys)
    n1/0 completes a checkpoint as of entry 4; the log before it may be reused [atomic-checkpoint]
    n1/0 counts n3 as having entries up to 4 durable
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 4; commit point 4
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 4; commit point 4
    n1/0 sends a heartbeat to n4 in epoch 1, after entry 4; commit point 4
    n4/0 fetches the state of n1 (epoch 1): a chunk did not come in time
    n2/0 commits entry 4 [majority-commit]
    n2/0 applies entry 4: no key changes [apply-only-committed]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n3/0 commits entry 4 [majority-commit]
    n3/0 applies entry 4: no key changes [apply-only-committed]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n1/0 sends n4 a chunk of its state as of entry 4
    n4/0 replaces its state with one as of entry 4, and promises epoch 1 [atomic-state-transfer]
    n4/0 has the state of n1 as of entry 4, and votes from epoch 1 on [atomic-state-transfer]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n1/0 counts n4 as having entries up to 4 durable
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 4; commit point 4
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 4; commit point 4
    n1/0 sends a heartbeat to n4 in epoch 1, after entry 4; commit point 4
    n1/0 appends entry 5 (epoch 1)
    n1/0 has entry 5 (promote n4): from now on n1, n2, n3, n4 count [config-when-appended]
    n1/0 writes the log record of entry 5 at LSN 2048; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 5 to n2 in epoch 1; commit point 4
    n1/0 sends entry 5 to n3 in epoch 1; commit point 4
    n1/0 sends entry 5 to n4 in epoch 1; commit point 4
    n1/0 syncs batch 5: 1 writes, 512 bytes, 0 µs; durable up to LSN 2560 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 4 durable [durable-ack]
    n2/0 appends entry 5 (epoch 1)
    n2/0 has entry 5 (promote n4): from now on n1, n2, n3, n4 count [config-when-appended]
    n2/0 writes the log record of entry 5 at LSN 2048; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 5: 1 writes, 512 bytes, 0 µs; durable up to LSN 2560 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 5 durable [durable-ack]
    n3/0 appends entry 5 (epoch 1)
    n3/0 has entry 5 (promote n4): from now on n1, n2, n3, n4 count [config-when-appended]
    n3/0 writes the log record of entry 5 at LSN 2048; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 syncs batch 5: 1 writes, 512 bytes, 0 µs; durable up to LSN 2560 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 5 durable [durable-ack]
    n4/0 appends entry 5 (epoch 1)
    n4/0 has entry 5 (promote n4): from now on n1, n2, n3, n4 count [config-when-appended]
    n4/0 writes the log record of entry 5 at LSN 0; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n4/0 syncs batch 1: 1 writes, 512 bytes, 0 µs; durable up to LSN 512 [ack-after-sync]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 5 durable [durable-ack]
    n1/0 counts n2 as having entries up to 5 durable
    n1/0 counts n3 as having entries up to 5 durable
    n1/0 commits entry 5 [majority-commit]
    n1/0 applies entry 5: no key changes [apply-only-committed]
    n1/0 counts n4 as having entries up to 5 durable
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 5; commit point 5
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 5; commit point 5
    n1/0 sends a heartbeat to n4 in epoch 1, after entry 5; commit point 5
    n2/0 commits entry 5 [majority-commit]
    n2/0 applies entry 5: no key changes [apply-only-committed]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 5 durable [durable-ack]
    n3/0 commits entry 5 [majority-commit]
    n3/0 applies entry 5: no key changes [apply-only-committed]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 5 durable [durable-ack]
    n4/0 commits entry 5 [majority-commit]
    n4/0 applies entry 5: no key changes [apply-only-committed]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 5 durable [durable-ack]
> remove n1 at n1
    n1/0 appends entry 6 (epoch 1)
    n1/0 has entry 6 (remove n1): from now on n2, n3, n4 count [config-when-appended]
    n1/0 writes the log record of entry 6 at LSN 2560; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n1/0 sends entry 6 to n2 in epoch 1; commit point 5
    n1/0 sends entry 6 to n3 in epoch 1; commit point 5
    n1/0 sends entry 6 to n4 in epoch 1; commit point 5
    client: n1 says: the change is in its log as entry 6
> calm
    n1/0 syncs batch 6: 1 writes, 512 bytes, 0 µs; durable up to LSN 3072 [ack-after-sync]
    n2/0 appends entry 6 (epoch 1)
    n2/0 has entry 6 (remove n1): from now on n2, n3, n4 count [config-when-appended]
    n2/0 writes the log record of entry 6 at LSN 2560; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 6: 1 writes, 512 bytes, 0 µs; durable up to LSN 3072 [ack-after-sync]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 6 durable [durable-ack]
    n3/0 appends entry 6 (epoch 1)
    n3/0 has entry 6 (remove n1): from now on n2, n3, n4 count [config-when-appended]
    n3/0 writes the log record of entry 6 at LSN 2560; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 syncs batch 6: 1 writes, 512 bytes, 0 µs; durable up to LSN 3072 [ack-after-sync]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 6 durable [durable-ack]
    n4/0 appends entry 6 (epoch 1)
    n4/0 has entry 6 (remove n1): from now on n2, n3, n4 count [config-when-appended]
    n4/0 writes the log record of entry 6 at LSN 512; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n4/0 syncs batch 2: 1 writes, 512 bytes, 0 µs; durable up to LSN 1024 [ack-after-sync]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 6 durable [durable-ack]
    n1/0 counts n2 as having entries up to 6 durable
    n1/0 counts n3 as having entries up to 6 durable
    n1/0 commits entry 6 [majority-commit]
    n1/0 applies entry 6: no key changes [apply-only-committed]
    n1/0 counts n4 as having entries up to 6 durable
> wait 2
    n1/0 sends a heartbeat to n2 in epoch 1, after entry 6; commit point 6
    n1/0 sends a heartbeat to n3 in epoch 1, after entry 6; commit point 6
    n1/0 sends a heartbeat to n4 in epoch 1, after entry 6; commit point 6
    n1/0 was removed, and has n4 take the lead [hand-over]
    n1/0 steps down as primary of epoch 1: an extension wants it to
    n2/0 commits entry 6 [majority-commit]
    n2/0 applies entry 6: no key changes [apply-only-committed]
    n2/0 acknowledges to n1 in epoch 1 that it has entries up to 6 durable [durable-ack]
    n3/0 commits entry 6 [majority-commit]
    n3/0 applies entry 6: no key changes [apply-only-committed]
    n3/0 acknowledges to n1 in epoch 1 that it has entries up to 6 durable [durable-ack]
    n4/0 commits entry 6 [majority-commit]
    n4/0 applies entry 6: no key changes [apply-only-committed]
    n4/0 acknowledges to n1 in epoch 1 that it has entries up to 6 durable [durable-ack]
    n4/0 stands for epoch 2
    n4/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n2/0 agrees to epoch 2 of n4; its answer will say that its log ends with entry 6 (epoch 1) [durable-promise]
    n2/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n3/0 agrees to epoch 2 of n4; its answer will say that its log ends with entry 6 (epoch 1) [durable-promise]
    n3/0 stores the promise of epoch 2 in both superblocks (generation 8) [ab-superblock]
    n4/0 counts n2's promise of epoch 2: with its own, 2 of the 2 that it needs [promise-majority]
    n4/0 becomes primary of epoch 2; its log ends with entry 6 (epoch 1) [promise-majority]
    n4/0 appends entry 7 (epoch 2)
    n4/0 writes the log record of entry 7 at LSN 1024; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n4/0 sends entry 7 to n2 in epoch 2; commit point 6
    n4/0 sends entry 7 to n3 in epoch 2; commit point 6
    n4/0 syncs batch 3: 1 writes, 512 bytes, 0 µs; durable up to LSN 1536 [ack-after-sync]
    n2/0 follows n4 in epoch 2
    n2/0 appends entry 7 (epoch 2)
    n2/0 writes the log record of entry 7 at LSN 3072; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n2/0 syncs batch 7: 1 writes, 512 bytes, 0 µs; durable up to LSN 3584 [ack-after-sync]
    n2/0 acknowledges to n4 in epoch 2 that it has entries up to 7 durable [durable-ack]
    n3/0 follows n4 in epoch 2
    n3/0 appends entry 7 (epoch 2)
    n3/0 writes the log record of entry 7 at LSN 3072; its value of 0 bytes goes to unit 0 [data-checksum-in-log]
    n3/0 syncs batch 7: 1 writes, 512 bytes, 0 µs; durable up to LSN 3584 [ack-after-sync]
    n3/0 acknowledges to n4 in epoch 2 that it has entries up to 7 durable [durable-ack]
    n4/0 counts n2 as having entries up to 7 durable
    n4/0 commits entry 7 [majority-commit]
    n4/0 applies entry 7: no key changes [apply-only-committed]
    n4/0 starts to serve in epoch 2: its marker, entry 7 (epoch 2), is committed [own-epoch-commit]
    n4/0 counts n3 as having entries up to 7 durable
    n4/0 sends a heartbeat to n2 in epoch 2, after entry 7; commit point 7
    n4/0 sends a heartbeat to n3 in epoch 2, after entry 7; commit point 7
    n2/0 commits entry 7 [majority-commit]
    n2/0 applies entry 7: no key changes [apply-only-committed]
    n2/0 acknowledges to n4 in epoch 2 that it has entries up to 7 durable [durable-ack]
    n3/0 commits entry 7 [majority-commit]
    n3/0 applies entry 7: no key changes [apply-only-committed]
    n3/0 acknowledges to n4 in epoch 2 that it has entries up to 7 durable [durable-ack]
> state
    n1: Backup in epoch 1, log [5@1 6@1] (durable 6, committed 6, end 6)
    n2: Backup in epoch 2, log [1@1 2@1 3@1 4@1 5@1 6@1 7@2] (durable 7, committed 7, end 7)
    n3: Backup in epoch 2, log [1@1 2@1 3@1 4@1 5@1 6@1 7@2] (durable 7, committed 7, end 7)
    n4: Primary in epoch 2, log [5@1 6@1 7@2] (durable 7, committed 7, end 7)
