//! Reading files that hold secrets.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Far above the size of a secret, and of a file with a thousand profiles.
const MAX_SIZE: usize = 1 << 20;

/// Reads a regular file of UTF-8 text, also through a symbolic link, and returns the open file too.
pub(super) fn read(path: &Path) -> io::Result<(Zeroizing<String>, File)> {
    // Opening a device can have effects of its own.
    check_regular(&std::fs::metadata(path)?)?;
    let file = open_without_waiting(path)?;
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    let size = usize::try_from(metadata.len()).unwrap_or_default();
    Ok((read_text(&file, size)?, file))
}

/// Reads the secret in a file.
pub(super) fn read_secret(path: &Path) -> io::Result<Secret> {
    read(path).map(|(text, _)| secret(&text))
}

/// Reads a secret to the end of `source`.
pub(crate) fn read_secret_from(source: impl io::Read) -> io::Result<Secret> {
    const USUAL_SIZE: usize = 4096;
    read_text(source, USUAL_SIZE).map(|text| secret(&text))
}

/// Returns the secret that a text holds. Most editors end a file with a line break, which does not belong to the secret.
fn secret(text: &str) -> Secret {
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Secret::new(line.to_owned())
}

/// Reads UTF-8 text whose usual size is `size` bytes.
fn read_text(source: impl io::Read, size: usize) -> io::Result<Zeroizing<String>> {
    // A buffer that grows would leave copies behind; one of exactly the size grows to notice the end.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.min(MAX_SIZE) + 64));
    if source.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes)? > MAX_SIZE {
        return Err(io::Error::other(format!("it is larger than {MAX_SIZE} bytes")));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("it is not valid UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Opens a file for reading. A pipe that has just taken its name does not block until it has a writer.
#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, Mode::empty())?.into())
}

#[cfg(windows)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}
