//! The bytes of a request, named by an argument.

use std::fs::File;
use std::io::{self, Read};

use super::report::Failure;
use super::signals::run_until_signal;
use crate::error::Error;
use crate::process;

/// Far above the size of a request. A device may have no end.
const MAX_SIZE: u64 = 16 << 20;

/// Reads the bytes that an argument names, as curl does: a text, `@FILE`, or `@-` for standard input.
pub(super) fn read(argument: &str) -> Result<Vec<u8>, Failure> {
    match argument.strip_prefix('@') {
        None => Ok(argument.as_bytes().to_vec()),
        Some("-") => standard_input(),
        Some(path) => {
            let owned = path.to_owned();
            read_all(path, move || File::open(owned))
        }
    }
}

/// Reads standard input to its end.
pub(super) fn standard_input() -> Result<Vec<u8>, Failure> {
    read_all("standard input", || Ok(io::stdin()))
}

/// Reads until a signal arrives: a pipe may never end. A prompt must come before, because the process handles its signals
/// from now on.
fn read_all<R: Read>(
    name: &str,
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> Result<Vec<u8>, Failure> {
    let read = move || {
        let mut bytes = Vec::new();
        if open()?.take(MAX_SIZE + 1).read_to_end(&mut bytes)? as u64 > MAX_SIZE {
            return Err(io::Error::other(format!("it is larger than {MAX_SIZE} bytes")));
        }
        Ok(bytes)
    };
    let bytes = run_until_signal(async {
        let bytes = process::blocking(read).await.flatten();
        bytes.map_err(|error| Error::argument(format!("cannot read {name}: {error}")))
    });
    Ok(bytes?)
}
