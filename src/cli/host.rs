//! The process that embeds the command.

use std::ffi::OsString;
use std::sync::Arc;

use super::signals::{Signal, Unfinished};
use crate::credentials::{Environment, ProcessEnvironment, Prompt};
use crate::destinations::Keyring;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What the command needs from the process that runs it.
pub(crate) struct Host {
    /// The prompt for missing credentials.
    pub(crate) prompt: Arc<dyn Prompt + Send + Sync>,
    /// The keyring of the operating system.
    pub(crate) keyring: Arc<dyn Keyring>,
    /// The text that is appended to the `User-Agent`.
    pub(crate) user_agent_suffix: String,
    /// The arguments of the command, without the program's name.
    pub(crate) arguments: Vec<OsString>,
}

impl Host {
    /// Returns the result of work that may have prompted, unless the user interrupted the prompt.
    pub(super) fn unless_interrupted<T>(&self, result: T) -> Result<T, Unfinished> {
        if self.prompt.is_interrupted() { Err(Unfinished::Stopped(Signal::INTERRUPT)) } else { Ok(result) }
    }
}

impl Environment for Host {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        ProcessEnvironment.variable(name)
    }

    fn os_variable(&self, name: &str) -> Result<Option<OsString>> {
        ProcessEnvironment.os_variable(name)
    }

    fn wait(&self, is_over: &mut (dyn FnMut() -> bool + Send)) -> Result<()> {
        while !is_over() {
            if self.prompt.is_interrupted() {
                return Err(Error::credentials("interrupted"));
            }
        }
        Ok(())
    }

    fn keyring_secret(&self, profile: &str) -> Result<Option<Secret>> {
        self.keyring.get(profile)
    }
}
