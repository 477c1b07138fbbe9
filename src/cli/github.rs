//! The output of `-o github`, by which a step of a GitHub workflow sets variables for the steps after it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::credentials::{Environment as _, ProcessEnvironment};
use crate::error::{Error, ErrorKind, Result};

const VARIABLE: &str = "GITHUB_ENV";

/// The file that `GITHUB_ENV` names. The runner reads it when the step ends.
pub(super) struct GithubFile {
    file: File,
    /// The length of the file before and after the variables were added.
    lengths: Option<(u64, u64)>,
}

impl GithubFile {
    /// Opens the file. The runner has created it.
    pub(super) fn open() -> Result<Self> {
        let path = ProcessEnvironment.os_variable(VARIABLE)?.filter(|path| !path.is_empty());
        let path = path.map(PathBuf::from).ok_or_else(|| {
            Error::configuration(format!("{VARIABLE} is not set"))
                .suggest("use -o github in a step of a GitHub workflow")
        })?;
        let file = OpenOptions::new().read(true).append(true).open(&path).map_err(|error| {
            Error::configuration(format!("cannot open {}, which {VARIABLE} names: {error}", path.display()))
        })?;
        Ok(Self { file, lengths: None })
    }

    /// Adds variables to the file. If they cannot be written completely, the file is as before.
    pub(super) fn append(&mut self, variables: &str) -> Result<()> {
        self.write(variables).map_err(|error| cannot_write(&error.to_string()))
    }

    /// Removes the added variables, so that later steps do not use a deleted token.
    pub(super) fn remove(&mut self) -> Result<()> {
        let Some((before, after)) = self.lengths.take() else { return Ok(()) };
        let length = self.file.metadata().map(|metadata| metadata.len());
        match length {
            Ok(length) if length == after => self.file.set_len(before).and_then(|()| self.file.sync_data()),
            Ok(_) => return Err(cannot_write("it was changed after the variables were added")),
            Err(error) => Err(error),
        }
        .map_err(|error| cannot_write(&error.to_string()))
    }

    fn write(&mut self, variables: &str) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        // The runner also reads a last line without a line break.
        let line_break = if self.ends_within_line(before)? { "\n" } else { "" };
        let text = Zeroizing::new(format!("{line_break}{variables}"));
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.inspect_err(|_| {
            // The first error is the one to report.
            let _ = self.file.set_len(before);
        })?;
        self.lengths = Some((before, before + text.len() as u64));
        Ok(())
    }

    fn ends_within_line(&mut self, length: u64) -> io::Result<bool> {
        let Some(last) = length.checked_sub(1) else { return Ok(false) };
        let mut byte = [0];
        self.file.seek(SeekFrom::Start(last))?;
        self.file.read_exact(&mut byte)?;
        Ok(byte != *b"\n")
    }
}

fn cannot_write(problem: &str) -> Error {
    Error::new(ErrorKind::Delivery, format!("cannot write to the file that {VARIABLE} names: {problem}"))
}
