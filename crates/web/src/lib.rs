//! The page to touch, wherever it is: one document, and who answers its questions.
//!
//! | the page | who answers it |
//! |---|---|
//! | `cutaway lab` serves it | that process |
//! | `cutaway lab --html` writes it as one file | a recording in the file |
//! | [`site`] lays it on a web host | [`answers`], compiled to WebAssembly, in a worker of the browser |
//!
//! All three are answered by [`lab::page`]: the module is the same core, for another machine. The tests hold the module's
//! state against the native one after every step.
//!
//! | file | job |
//! |---|---|
//! | `document`, `bundle` | template, style sheet and modules as one document |
//! | `url` | a schedule in the fragment of an address |
//! | `site` | the document as files of a static site |
//! | `answers` | questions and answers as text |
//! | `door` | how a browser calls them: the only `unsafe` attributes of the workspace, and no `unsafe` code |

// Natively nothing is unsafe at all.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

pub mod answers;
pub mod bundle;
pub mod document;
#[cfg(target_family = "wasm")]
pub mod door;
pub mod site;
pub mod url;
