//! The process that embeds the command.

use std::ffi::OsString;
use std::sync::Arc;

use crate::credentials::{Environment, ProcessEnvironment, Prompt};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What the command needs from the process that runs it.
pub(crate) struct Host {
    /// The prompt for missing credentials.
    pub(crate) prompt: Arc<dyn Prompt + Send + Sync>,
    /// The keyring of the operating system.
    pub(crate) keyring: Arc<dyn Keyring + Send + Sync>,
    /// The text that is appended to the `User-Agent`.
    pub(crate) user_agent_suffix: String,
    /// The arguments of the command, without the program's name.
    pub(crate) arguments: Vec<OsString>,
}

/// The keyring of the operating system, which may not be available.
pub(crate) trait Keyring {
    /// Returns whether it can store secrets.
    fn is_available(&self) -> bool;
    /// Returns the secret of a profile; `None` if it has none.
    fn get(&self, profile: &str) -> Result<Option<Secret>>;
    /// Stores the secret of a profile.
    fn set(&self, profile: &str, secret: &Secret) -> Result<()>;
    /// Removes the secret of a profile, if it has one.
    fn delete(&self, profile: &str) -> Result<()>;
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
