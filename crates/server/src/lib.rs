//! The only real I/O: files, TCP, timers, the Redis protocol, HTTP.
//!
//! The rules (which replica may answer what, and when) are in `dataplane`, `node` and `gateway`; nothing here knows an
//! epoch or counts a majority. What is here moves bytes and time to those rules and back, on as few threads as possible:
//! one per replica, one per gateway process.
//!
//! | part | job |
//! |---|---|
//! | [`clock`] | monotonic time for rules, wall time for people |
//! | [`hello`], [`facts`] | the handshake; what the nodes say the cluster is |
//! | [`identity`] | whose certificate a member has to show |
//! | [`transport`], [`link`] | frames over TCP: one connection, and keeping one up |
//! | [`node_host`], [`board`] | one storage node; its answers to probes |
//! | `seat`, `ports` | the thread of one replica; its connections |
//! | [`gateway_host`], [`core`] | one gateway: its tasks and sockets; its rules and what they know |
//! | [`resp`] | its Redis protocol |
//! | [`doors`], [`chronicle`] | how many connections there may be; what the log tells |
//! | [`budget`], [`flow`] | how much of its memory clients hold; long values on their way |
//! | [`partial`] | the memory of requests that have not come whole |
//! | [`http`], [`status`], [`metrics`] | its HTTP interface |
//! | [`linger`] | closing a connection so that the last words are heard |
//! | [`fullness`] | how full a device is, said loudly when it matters |
//! | [`ring`], [`explain`] | the story of one request |
//! | [`place`] | where a member that was added can be reached |
//! | [`manifest`], [`founding`] | what a data directory was founded as |
//! | [`glass`], `told` | what a process shows of itself to the `up` that watches it |
//! | [`child`], [`cut`] | what a process that `up` started hears and says; what keeps its frames from coming through |
//! | [`plan`], [`supervisor`], [`control`] | `up`: what it starts, running it, and how to act on it |
//! | `run` | one run of one of its processes |

#![forbid(unsafe_code)]

pub mod board;
pub mod budget;
pub mod child;
pub mod chronicle;
pub mod clock;
pub mod control;
mod control_file;
pub mod core;
pub mod cut;
pub mod doors;
pub mod explain;
pub mod facts;
pub mod flow;
pub mod founding;
pub mod fullness;
pub mod gateway_host;
pub mod glass;
pub mod hello;
pub mod http;
pub mod identity;
pub mod linger;
pub mod link;
pub mod manifest;
pub mod metrics;
pub mod node_host;
mod node_options;
pub mod partial;
pub mod place;
pub mod plan;
mod ports;
pub mod resp;
pub mod ring;
mod run;
mod seat;
pub mod status;
pub mod supervisor;
mod told;
pub mod transport;
mod unsent;
