//! The engine as an embedded library: a thread-safe key-value store whose every write is durable when it returns.
//!
//! ```
//! use store::{FileDevice, Store};
//!
//! # let dir = std::env::temp_dir().join(format!("cutaway-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! let path = dir.join("store.img");
//! let (store, _) = Store::create(FileDevice::create(&path, 1 << 20)?)?;
//! store.put(b"greeting", b"hello")?;
//! drop(store);
//!
//! let (store, report) = Store::open(FileDevice::open(&path)?)?;
//! assert_eq!(report.last_seq, 1);
//! assert_eq!(store.get(b"greeting")?.unwrap().value[..], *b"hello");
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `engine` knows neither files nor threads. They are here, and nothing of the core depends on this crate:
//!
//! | file | idea |
//! |---|---|
//! | `file` | a file or a block device, locked for this process |
//! | `store` | append, sync, commit, from many threads |
//! | `group_commit` | where the writers of one batch wait for it |

#![forbid(unsafe_code)]

mod file;
mod group_commit;
mod store;

pub use file::{FileDevice, FileError, Used};
pub use group_commit::{Failed, Group, Turn};
pub use store::{CreateError, Store, StoreError};
