//! LogicMonitor API tokens: signing, HTTP and the whole life of a token.
//!
//! The house, from the door down; arrows between modules point down only.
//!
//! | module | what it is |
//! | --- | --- |
//! | `python` | the Python face: the only place that says `pyo3`, and it decides nothing |
//! | `cli` | the shell face |
//! | [`lifecycle`] | what takes several calls: create with a destination, bulk and its journal, sweep |
//! | [`destinations`] | where the secret of a new token can go |
//! | [`tokens`] | what takes one call: one struct a verb |
//! | [`signer`] | the signature for requests that others send |
//! | [`client`] | one request from start to end: budget → sign → attempt → judge |
//! | [`credentials`] | who we are: arguments, environment, prompt |
//! | [`network`] | how the portal is reached: time limits, trust, proxy |
//! | [`process`] | what is new after a fork |
//! | [`ports`] | the traits through which the core calls up |
//! | [`sandbox`] | a small LogicMonitor; uses only the vocabulary, so that it can contradict the client |
//! | [`lmv1`] [`secret`] [`model`] [`filter`] [`tag`] [`token_output`] [`portal`] [`error`] | the vocabulary: no I/O, no clock of their own |

pub mod advice;
#[cfg(feature = "cli")]
mod cli;
pub mod client;
pub mod clock;
pub mod credentials;
pub mod destinations;
pub mod error;
pub mod event;
pub mod filter;
pub mod ids;
pub mod lifecycle;
pub mod lmv1;
mod lock;
pub mod model;
pub mod network;
pub mod operation;
pub mod portal;
pub mod process;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod secret;
pub mod signer;
pub mod tag;
pub mod token_output;
pub mod tokens;

/// The version of this package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
