//! LogicMonitor API tokens: signing, HTTP and the complete lifecycle of a token.
//!
//! The modules in the order in which a request travels. Dependencies point downwards only.
//!
//! | module | contents |
//! | --- | --- |
//! | `python` | the Python API: the only code that uses `pyo3`; it makes no decisions |
//! | `cli` | the command `lmtokens` |
//! | `doctor` | checks of the settings and of each step of a request |
//! | `lifecycle` | operations that need several calls: create with a destination, bulk runs, rotation, sweep, audit |
//! | `destinations` | where the secret of a new token can be delivered |
//! | `tokens` | operations that need one call |
//! | `operation` | the trait that all operations implement |
//! | `signer` | signatures for requests that other HTTP libraries send |
//! | `client` | one request: permit → sign → attempt → outcome → retry or response |
//! | `credentials` | credential sources: arguments, environment, profile, prompt |
//! | `network` | timeouts, trusted certificates, client certificate, proxy |
//! | `process` | per-process state, rebuilt after `fork()` |
//! | `access_list` | access lists of files, on Windows |
//! | `sandbox` | the embedded portal; it never uses the client, so that each can reveal errors of the other |
//! | `ids` `lmv1` `explain` `secret` `model` `filter` `tag` `marker` `times` `portal` `event` `error` … | vocabulary: no I/O |

#![cfg_attr(
    not(all(feature = "python", feature = "cli")),
    allow(dead_code, unused_imports, reason = "parts of the core are used by one interface only")
)]

#[cfg(any(windows, test))]
mod access_list;
pub(crate) mod advice;
#[cfg(feature = "cli")]
mod cli;
pub(crate) mod client;
pub(crate) mod clock;
mod copied;
pub(crate) mod credentials;
pub(crate) mod destinations;
pub(crate) mod doctor;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod explain;
pub(crate) mod filter;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub(crate) mod ids;
mod json;
pub(crate) mod lifecycle;
pub(crate) mod lmv1;
mod lock;
pub(crate) mod marker;
pub(crate) mod model;
pub(crate) mod network;
mod note;
pub(crate) mod operation;
pub(crate) mod portal;
pub(crate) mod printable;
pub(crate) mod process;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "sandbox")]
pub(crate) mod sandbox;
pub(crate) mod secret;
pub(crate) mod signer;
mod strict_url;
pub(crate) mod tag;
#[doc(hidden)]
pub mod testing;
mod times;
pub(crate) mod token_output;
pub(crate) mod tokens;

/// The version of this package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
