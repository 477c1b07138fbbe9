//! Tests of the core without Python, over a real socket against the sandbox.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, and clippy.toml exempts only functions marked as tests"
)]

mod add;
mod audit;
mod bulk;
mod create;
mod credentials;
mod doctor;
mod explain;
mod file;
mod idle;
mod lmv1;
mod marker;
mod model;
mod note;
mod off_thread;
mod outcome;
mod portal;
mod process;
mod redact;
mod rotation;
mod sandbox;
mod secret;
mod supplied;
mod support;
mod tag;
mod tag_time;
mod tls;
mod update;
