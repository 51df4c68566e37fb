//! Tests of Cutaway with client libraries as people use them. Run them with `cargo test -p clients`.
