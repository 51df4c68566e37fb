//! The replication rules as a sans-I/O state machine.
