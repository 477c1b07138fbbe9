//! The output of `-o github`, by which a step of a GitHub workflow sets variables for the steps after it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::credentials::{Environment as _, ProcessEnvironment};
use crate::error::{Error, ErrorKind, Result};

const VARIABLE: &str = "GITHUB_ENV";

/// The file that `GITHUB_ENV` names. The runner reads it when the step ends.
pub(super) struct GithubFile(File);

impl GithubFile {
    /// Opens the file. The runner has created it.
    pub(super) fn open() -> Result<Self> {
        let path = ProcessEnvironment.os_variable(VARIABLE)?.filter(|path| !path.is_empty());
        let path = path.map(PathBuf::from).ok_or_else(|| {
            Error::configuration(format!("{VARIABLE} is not set"))
                .suggest("use -o github in a step of a GitHub workflow")
        })?;
        let file = OpenOptions::new().append(true).open(&path).map_err(|error| {
            Error::configuration(format!("cannot open {}, which {VARIABLE} names: {error}", path.display()))
        })?;
        Ok(Self(file))
    }

    /// Adds variables to the file. If they cannot be written completely, the file is as before.
    pub(super) fn append(&mut self, variables: &str) -> Result<()> {
        self.write(variables).map_err(|error| {
            Error::new(
                ErrorKind::Delivery,
                format!("cannot write to the file that {VARIABLE} names: {error}"),
            )
        })
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        let length = self.0.metadata()?.len();
        let written = self.0.write_all(text.as_bytes()).and_then(|()| self.0.sync_data());
        written.inspect_err(|_| {
            // The first error is the one to report.
            let _ = self.0.set_len(length);
        })
    }
}
