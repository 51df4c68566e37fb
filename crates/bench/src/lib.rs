//! How fast: loads that run against any store of durable puts, and what is measured of them.
//!
//! Speeds of one machine say little about another, and on a shared machine little about the next minute. So what is
//! compared takes turns within one run (A B A B …), and what counts is the ratio of the medians of the turns.
//!
//! | file | idea |
//! |---|---|
//! | `load` | writers that put, in turns, and their latencies |
//! | `group` | the group commit that every store here shares, but our engine, which has its own |
//! | `floor` | the least that a durable put can cost |
//! | `cutaway` | our engine, with its device counted |
//! | `cluster` | whole clusters, this one and others |
//! | `fragments` | a device that fills up, with and without the extension `gc` |
//! | `large` | a store with a million keys: opening it, its memory, the steps of its checkpoint |

#![forbid(unsafe_code)]

pub mod cluster;
pub mod cutaway;
pub mod floor;
pub mod fragments;
pub mod group;
pub mod large;
pub mod load;
pub mod table;
