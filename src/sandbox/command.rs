//! The commands by which Rust, HTTP and Python control the sandbox.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Shared;
use super::clock::AdvanceArguments;
use super::faults::{Fault, RandomFaults};
use super::rate_limit::Window;
use super::record::Seen;
use super::token::{NewToken, StoredToken};
use super::user::NewUser;
use crate::error::Error;

/// One instruction to the sandbox, with its arguments.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Command {
    GetRecord,
    ClearRecord,
    ListTokens,
    CreateToken(NewToken),
    AddUser(NewUser),
    AddFault(Fault),
    ClearFaults,
    /// `None` ends random faults and leaves the others.
    SetRandomFaults(Option<RandomFaults>),
    SetRateLimit(RateLimitArguments),
    SetClock(ClockArguments),
    Advance(AdvanceArguments),
    /// Changes members of [`Behavior`](super::Behavior).
    Configure(Map<String, Value>),
    CountEmails,
    Reset,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitArguments {
    /// `None` sets the rate limit of every method.
    #[serde(default)]
    pub(crate) method: Option<String>,
    pub(crate) limit: u32,
    /// Python calls this argument `window`.
    #[serde(alias = "window")]
    pub(crate) window_seconds: Window,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClockArguments {
    /// Python calls this argument `seconds`.
    #[serde(alias = "seconds")]
    pub(crate) offset_seconds: i64,
}

/// The result of a [`Command`].
///
/// Its JSON contains no secret: each control has its own way to hand over the secrets of tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Done {},
    Record(Vec<Seen>),
    Tokens(Vec<StoredToken>),
    Token(StoredToken),
    User { id: u32 },
    Emails { count: u64 },
}

impl Shared {
    /// Carries out a command.
    pub(super) fn apply(&self, command: Command) -> Result<Answer, Error> {
        let mut store = self.store();
        match command {
            Command::GetRecord => return Ok(Answer::Record(store.record.to_vec())),
            Command::ListTokens => {
                store.disable_idle_tokens();
                return Ok(Answer::Tokens(store.tokens().cloned().collect()));
            }
            Command::CountEmails => return Ok(Answer::Emails { count: store.emails }),
            Command::CreateToken(new) => return store.create_as_administrator(new).map(Answer::Token),
            Command::AddUser(new) => return Ok(Answer::User { id: store.add_user(new) }),
            Command::ClearRecord => store.record.clear(),
            Command::AddFault(fault) => store.faults.add(fault)?,
            Command::ClearFaults => store.faults.clear(),
            Command::SetRandomFaults(faults) => store.faults.set_random(faults)?,
            Command::SetRateLimit(RateLimitArguments { method, limit, window_seconds }) => {
                store.set_rate_limit(method.as_deref(), limit, window_seconds)?;
            }
            Command::SetClock(ClockArguments { offset_seconds }) => store.clock.set_offset(offset_seconds),
            Command::Advance(arguments) => store.clock.advance(arguments.total()?),
            Command::Configure(changes) => store.behavior = store.behavior.with(changes)?,
            Command::Reset => self.reset(&mut store),
        }
        Ok(Answer::Done {})
    }
}
