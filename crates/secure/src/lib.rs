//! Who somebody is: certificates for members and gateways, TLS streams, tokens for clients.
//!
//! The rules of the cluster know nothing of this. A stream is wrapped where it is accepted or dialled, and everything
//! above reads and writes as before.
//!
//! | part | job |
//! |---|---|
//! | [`names`] | what a member's certificate calls it |
//! | [`provider`](mod@provider), [`error`] | the cryptography; why something is of no use |
//! | [`files`] | PEM files: certificates, keys, authorities, checked as they are read |
//! | [`identity`] | the two ends of a connection between members, and the door of a gateway; read anew when files change |
//! | [`stream`] | a stream, plain or TLS, whose handshake happens at the first read or write |
//! | [`line`] | TLS for whoever writes what the kernel takes at once |
//! | [`refusal`] | what went wrong, in words, and what to do |
//! | [`authority`] | a laboratory authority that signs certificates |
//! | [`token`] | secrets that clients show, of which only hashes are kept |
//!
//! TLS 1.3 only, without resumption: whoever was let in yesterday shows a certificate that is valid today. Left out:
//! revocation lists. A certificate lives for days or months, and a stolen one is answered with a new authority.

#![forbid(unsafe_code)]

pub mod authority;
pub mod error;
pub mod files;
pub mod identity;
pub mod line;
pub mod names;
pub mod provider;
pub mod refusal;
pub mod stream;
pub mod token;

pub use error::TlsError;
pub use provider::provider;
