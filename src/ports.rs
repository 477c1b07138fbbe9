//! The traits through which the core calls up: whoever embeds it says what time it is, what the environment holds, whom
//! to ask and whom to tell.

use std::env::VarError;
use std::fmt::Debug;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind, Result};
use crate::model::Token;
use crate::secret::Secret;
use crate::tag::Tag;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> u64;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Gives random numbers.
pub trait Random: Debug + Send + Sync {
    /// A number from 0 to 1.
    fn unit(&self) -> f64;
}

/// The operating system's generator: forked children never share its numbers.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn unit(&self) -> f64 {
        let number = getrandom::u32().unwrap_or(u32::MAX / 2);
        f64::from(number) / f64::from(u32::MAX)
    }
}

/// The variables of the process's environment.
pub trait Environment {
    /// The value of a variable; `None` where it is not set. One that is no text is an error: taken for unset, the call
    /// would go out as somebody else, or elsewhere.
    fn variable(&self, name: &str) -> Result<Option<String>>;

    /// As [`Environment::variable`]; an empty variable is not set.
    fn filled(&self, name: &str) -> Result<Option<String>> {
        Ok(self.variable(name)?.filter(|value| !value.is_empty()))
    }
}

/// The error of a variable whose bytes are no text. Repeats nothing of them.
#[must_use]
pub fn not_text(name: &str) -> Error {
    Error::configuration(format!("{name} is set to what is no text: its bytes are not valid UTF-8"))
        .suggest(format!("set {name} anew, or unset it"))
}

/// The process's environment as the operating system has it.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        match std::env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(not_text(name)),
        }
    }
}

/// A person at a terminal or in a notebook.
pub trait Prompt {
    /// Whether there is one to ask.
    fn is_available(&self) -> bool;
    /// Asks for a text, echoed.
    fn ask(&self, question: &str) -> Result<String>;
    /// Asks for a secret, not echoed.
    fn ask_secret(&self, question: &str) -> Result<Secret>;
    /// Whether the person wants no more of it, as with Ctrl-C; an error is then of no interest.
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Nobody to ask.
#[derive(Debug, Clone, Copy)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn is_available(&self) -> bool {
        false
    }

    fn ask(&self, _question: &str) -> Result<String> {
        Err(crate::error::Error::credentials("there is nobody to ask"))
    }

    fn ask_secret(&self, question: &str) -> Result<Secret> {
        self.ask(question).map(Secret::new)
    }
}

/// Work whose type has no name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where the secret of a new token goes before the token works.
///
/// Each method is given the token as it will be, its secret included, and the tag of the attempt that made it.
pub trait Destination: Send + Sync {
    /// Fails where a delivery could never succeed, before anything is sent to the portal.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Takes the secret; durable when it returns.
    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>>;

    /// The token works now.
    fn commit<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// The token will never work: what was delivered is worth nothing.
    fn discard<'a>(&'a self, _token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// What it is, for people.
    fn describe(&self) -> String;
}

/// What the core has to tell while a call goes on. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One request was answered, or failed.
    Attempt {
        /// HTTP method.
        method: &'static str,
        /// The path with its ids replaced by names.
        endpoint: &'static str,
        /// The HTTP status of the answer; `None` where none came.
        status: Option<u16>,
        /// Counted from 1.
        attempt: u32,
        /// From the start of the attempt to its end.
        elapsed: Duration,
        /// How long the pause is before it is sent again; `None` where it is not, or as soon as the budget allows.
        pause: Option<Duration>,
    },
    /// The budget is spent, and the request waits for more than two seconds.
    LongWait {
        /// HTTP method.
        method: &'static str,
        /// The path with its ids replaced by names.
        endpoint: &'static str,
        /// How long the wait is in all, as far as that is known.
        wait: Duration,
    },
    /// A create with a destination was given up while it was under way: what it leaves is left to sweep.
    LeftUnfinished {
        /// The owner's user id.
        admin_id: i64,
        /// The token, where its making was answered.
        id: Option<i64>,
        /// How its note begins.
        tag: String,
        /// Whether its secret is where it belongs, so that enabling the token finishes the create.
        delivered: bool,
    },
    /// Unfinished tokens of a run could not be removed at its end. They are disabled.
    LeftOvers {
        /// How many; `None` where they could not be listed.
        count: Option<u64>,
        /// The run that their tags name.
        run: String,
    },
    /// A create was given up while it was under way: a token may exist that nobody holds.
    CreateInterrupted {
        /// The owner's user id.
        admin_id: i64,
        /// The note it would have.
        note: Option<String>,
        /// When the create was sent, milliseconds since 1970-01-01 UTC.
        sent_ms: u64,
    },
    /// A create was done, and its result reached nobody: a token exists whose key nobody holds.
    ResultLost {
        /// The token's id.
        token_id: i64,
        /// The owner's user id.
        admin_id: Option<i64>,
        /// Its note.
        note: Option<String>,
    },
    /// A create ended with an unknown outcome, and the error reached nobody: a token may exist that nobody holds.
    OutcomeLost {
        /// The error's sentence.
        message: String,
        /// What to do next.
        suggestion: Option<String>,
    },
}

/// What a verb ends with, as far as it matters that it reaches the caller.
pub trait Loss {
    /// What to tell where it reaches nobody; `None` where nothing is lost.
    fn loss(&self) -> Option<Event> {
        None
    }
}

impl Loss for () {}

/// A page of a list, in which the portal tells no secret.
impl<T> Loss for Option<Vec<T>> {}

/// What was found; in lists the portal tells no secret.
impl<T> Loss for Vec<T> {}

impl Loss for Token {
    /// Only the answer to a create holds the secret, and the portal never tells it again.
    fn loss(&self) -> Option<Event> {
        self.access_key.as_ref().map(|_| Event::ResultLost {
            token_id: self.id,
            admin_id: self.admin_id,
            note: self.note.clone(),
        })
    }
}

impl Loss for Error {
    fn loss(&self) -> Option<Event> {
        (self.kind() == ErrorKind::OutcomeUnknown).then(|| Event::OutcomeLost {
            message: self.details().message.clone(),
            suggestion: self.details().suggestion.clone(),
        })
    }
}

impl<T: Loss> Loss for Result<T> {
    fn loss(&self) -> Option<Event> {
        match self {
            Ok(value) => value.loss(),
            Err(error) => error.loss(),
        }
    }
}

/// Is told what happens. Called from any thread; must not block.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn observe(&self, event: Event);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn observe(&self, _event: Event) {}
}
