//! The core without Python, against the embedded portal over a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says that it failed by panicking, and clippy.toml reaches only functions marked as tests"
)]

mod add;
mod create;
mod credentials;
mod lmv1;
mod model;
mod outcome;
mod portal;
mod process;
mod sandbox;
mod secret;
mod support;
mod tag;
mod tls;
