# Two nodes' disks are put back into the wrong machines.
#
# A device says whose it is: of which cluster, node and shard. Another node that took it for its own would vote with a
# promise and a log that are not its own, beside the node whose they are: one disk counted twice. So it is refused, not a
# byte of it is changed, and back in its own machine it opens as ever.

> device three entries, no checkpoint
> open as n2
    refused: the device belongs to cluster 07070707070707070707070707070707, node 1 of [1, 2, 3], shard 0 of 1, not to cluster 07070707070707070707070707070707, node 2 of [1, 2, 3], shard 0 of 1
> open
    n1/0 opens its device: checkpoint as of entry 0, log up to entry 3; 0 bytes of torn tail discarded (log life 3)
    entries 1–3 are there
