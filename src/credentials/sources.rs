//! The environment and the prompt: credential sources that the embedding interface provides.

use std::env::VarError;
use std::ffi::OsString;

use crate::copied;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The environment variables of the process.
pub trait Environment {
    /// Returns the value of a variable; `None` if it is not set. A value that is not UTF-8 is an error: treated as
    /// unset, the call would use other credentials or another portal.
    fn variable(&self, name: &str) -> Result<Option<String>>;

    /// As [`Environment::variable`], also for a value that is not UTF-8, such as a path.
    fn os_variable(&self, name: &str) -> Result<Option<OsString>> {
        Ok(self.variable(name)?.map(OsString::from))
    }

    /// Returns the value of a variable; an empty one counts as not set. A value with traces of copying is an error.
    fn filled(&self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.unchecked(name)? else { return Ok(None) };
        copied::check(name, &value).map(|()| Some(value))
    }

    /// Waits for something outside this process: calls `is_over`, which waits for a moment, until it returns `true`.
    /// Fails if the user interrupts.
    fn wait(&self, is_over: &mut (dyn FnMut() -> bool + Send)) -> Result<()> {
        while !is_over() {}
        Ok(())
    }

    /// Returns the secret of a profile in the keyring of the operating system; `None` if it has none.
    fn keyring_secret(&self, _profile: &str) -> Result<Option<Secret>> {
        Err(Error::configuration("no keyring available"))
    }

    /// As [`Environment::filled`], for credentials and paths, which are checked as such, and for patterns.
    fn unchecked(&self, name: &str) -> Result<Option<String>> {
        Ok(self.variable(name)?.filter(|value| !value.is_empty()))
    }
}

/// Returns the error for a variable whose value is not UTF-8. It repeats nothing of the value.
#[must_use]
pub fn not_utf8(name: &str) -> Error {
    Error::configuration(format!("{name} is not valid UTF-8")).suggest(format!("correct or unset {name}"))
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(not_utf8(name)),
        }
    }

    fn os_variable(&self, name: &str) -> Result<Option<OsString>> {
        Ok(std::env::var_os(name))
    }
}

/// An environment without variables.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoVariables;

impl Environment for NoVariables {
    fn variable(&self, _name: &str) -> Result<Option<String>> {
        Ok(None)
    }
}

/// An interactive prompt, at a terminal or in a notebook.
pub trait Prompt {
    /// Returns whether the user can be asked.
    fn is_available(&self) -> bool;
    /// Asks for a text, with echo.
    fn ask(&self, question: &str) -> Result<String>;
    /// Asks for a secret, without echo.
    fn ask_secret(&self, question: &str) -> Result<Secret>;
    /// Returns whether the user interrupted the prompt (Ctrl-C), which takes precedence over any error.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// A prompt that is never available.
#[derive(Debug, Clone, Copy)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn is_available(&self) -> bool {
        false
    }

    fn ask(&self, _question: &str) -> Result<String> {
        Err(Error::credentials("no prompt available"))
    }

    fn ask_secret(&self, question: &str) -> Result<Secret> {
        self.ask(question).map(Secret::new)
    }
}
