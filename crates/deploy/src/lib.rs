//! One file that describes a cluster: read, checked as a whole, and turned into what starts it.
//!
//! Every process of a cluster is started from the same file, and takes its part by its name. So no two of them can hold
//! different things for true, and what is wrong is told with its line, before anything is started.
//!
//! | part | job |
//! |---|---|
//! | [`raw`] | the file as it is written |
//! | [`file`](mod@file), [`cluster`] | what it means |
//! | [`problem`] | what is wrong with it, and where |
//! | [`words`] | names, addresses and sizes as people write them |
//! | [`rules`] | what no part can see alone: two members at one address, a port without TLS |
//! | [`certificates`] | whose certificates a cluster needs, and whether those there are good |
//! | [`example`] | a file to begin with |
//! | [`systemd`], [`compose`], [`kubernetes`] | what starts the processes, for those who start processes |

#![forbid(unsafe_code)]

pub mod certificates;
pub mod cluster;
pub mod compose;
pub mod example;
pub mod file;
pub mod kubernetes;
pub mod problem;
pub mod raw;
pub mod rules;
pub mod systemd;
pub mod words;

pub use cluster::{Deployment, GatewayPart, NodePart};
pub use problem::{Problem, Problems};
