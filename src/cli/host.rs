//! The process that embeds the command.

use std::ffi::OsString;
use std::sync::Arc;

use crate::credentials::Prompt;

/// What the command needs from the process that runs it.
pub(crate) struct Host {
    /// The prompt for missing credentials.
    pub(crate) prompt: Arc<dyn Prompt + Send + Sync>,
    /// The text that is appended to the `User-Agent`.
    pub(crate) user_agent_suffix: String,
    /// The arguments of the command, without the program's name.
    pub(crate) arguments: Vec<OsString>,
}
