//! One device, crash-safe: superblocks, write-ahead log, extents, checkpoints.
