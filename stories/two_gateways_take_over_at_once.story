# Two gateways suspect the primary at the same moment and ask two nodes to take over.
#
# Both candidates pick epoch 2. Each has promised it to itself, so neither promises it to the other; the third node
# promises it to the first that asks, and to nobody else.

> cluster 3
> takeover n2
    n2/0 stands for epoch 2
> takeover n3
    n3/0 stands for epoch 2
> lose n2 n1
> lose n3 n1
> deliver n2 n3 PromiseRequest
    n3/0 does not promise epoch 2 to n2: epoch 2 is promised already [one-candidate-per-epoch]
> deliver n3 n2 PromiseRequest
    n2/0 does not promise epoch 2 to n3: epoch 2 is promised already [one-candidate-per-epoch]
> state
    n1: Primary in epoch 1, log [1@1 2@1] (durable 2, committed 2, end 2)
    n2: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    n3: Candidate in epoch 2, log [1@1 2@1] (durable 2, committed 2, end 2)
    on its way n3 → n2: Fenced by epoch 2
    on its way n2 → n3: Fenced by epoch 2
# n1 wakes up: n3's request reaches it first.
> takeover n3
> tick n2
    n2/0 gives up epoch 2: no majority answered in time
> tick n3
    n3/0 gives up epoch 2: no majority answered in time
> takeover n3
    n3/0 stands for epoch 3
> deliver n3 n1 PromiseRequest
    n1/0 promises epoch 3 to n3; its log ends at entry 2 of epoch 1 [durable-promise]
    n1/0 is no longer primary of epoch 1: epoch 3 exists
> deliver n1 n3
    n3/0 has the promise of n1 for epoch 3 (2 of 2) [promise-majority]
    n3/0 is primary of epoch 3, with a log up to 2 [promise-majority]
    n3/0 appends entry 3 of epoch 3 to its log
    n3/0 sends n1 entries 3 to 3 of epoch 3, commit point 2
    n3/0 sends n2 entries 3 to 3 of epoch 3, commit point 2
> calm
    n2/0 promises epoch 3 to n3; its log ends at entry 2 of epoch 1 [durable-promise]
    n1/0 follows n3 in epoch 3
    n1/0 appends entry 3 of epoch 3 to its log
    n1/0 acknowledges to n3 that everything up to 3 is durable here [durable-ack]
    n2/0 follows n3 in epoch 3
    n2/0 appends entry 3 of epoch 3 to its log
    n2/0 acknowledges to n3 that everything up to 3 is durable here [durable-ack]
    n3/0 counts n1 as having everything up to 3
    n3/0 moves the commit point from 2 to 3 [majority-commit]
    n3/0 applies entry 3: no key changes [apply-only-committed]
    n3/0 serves in epoch 3: its marker, entry 3, is committed [own-epoch-commit]
    n3/0 counts n2 as having everything up to 3
> state
    n1: Backup in epoch 3, log [1@1 2@1 3@3] (durable 3, committed 2, end 3)
    n2: Backup in epoch 3, log [1@1 2@1 3@3] (durable 3, committed 2, end 3)
    n3: Primary in epoch 3, log [1@1 2@1 3@3] (durable 3, committed 3, end 3)
