//! Fault injection: scripted faults, random faults from a seed, and faults that a request's header selects.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::arguments::{self, expecting};
use super::random::SplitMix64;
use super::seconds::{check_seconds, read_seconds};
use crate::error::Error;
use crate::lmv1::check_method;

/// A kind of fault.
///
/// "Before acting" means that the request changes nothing. "Acts" means that the request passes the usual checks and is
/// carried out; only its response is faulty. Numbers in parentheses are defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Closes the connection without a response, before acting.
    CloseBeforeActing,
    /// Acts, then closes the connection without a response.
    ActThenClose,
    /// Responds with `status` (500), before acting.
    StatusBeforeActing,
    /// Acts, then responds with `status` (500).
    ActThenStatus,
    /// Responds with an HTML page and `status` (503), before acting.
    Html,
    /// Acts, then responds with an HTML page and `status` (503).
    ActThenHtml,
    /// Responds with 429, before acting; `headers` selects the rate limit headers.
    RateLimited,
    /// Waits `seconds` (1), then acts and responds normally; acts even if the client disconnects.
    Delay,
    /// Acts at once and responds after `seconds` (1).
    ActThenDelay,
    /// Responds with 200 and a version 3 error of `code` (1500) and `message`, before acting.
    #[serde(rename = "error-in-200")]
    ErrorIn200,
    /// Acts, and responds in the format of version 1, even if the request selects version 3.
    V1Envelope,
    /// Responds with 200 and a version 1 error of `code` (1001) and `message`, before acting.
    V1Error,
    /// Acts, sends the headers and half of the body, then closes the connection.
    Truncated,
    /// Acts, and responds with 200 and bytes that are not JSON.
    Garbage,
    /// Acts, and responds with 200 and an empty body.
    Empty,
    /// Acts, and responds with 200 and JSON that is neither a token nor a list.
    WrongShape,
    /// Acts, and sends the body byte by byte, each after a pause of `seconds` (0.01).
    Trickle,
    /// Redirects to `location` with `status` (302), before acting.
    Redirect,
    /// Acts, and responds with the token but without its access key.
    NoKey,
    /// Closes the connection without a response, and acts `seconds` (1) later.
    Late,
}

/// The rate limit headers of a [`FaultKind::RateLimited`] response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateHeaders {
    /// The limit and the window in force, and 0 remaining.
    #[default]
    Normal,
    /// No headers.
    Missing,
    /// Texts that are not valid numbers.
    Nonsense,
    /// More remaining than the limit, and a window of 0 seconds.
    Contradictory,
}

/// A fault and the requests that it applies to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The kind of fault.
    pub kind: FaultKind,
    /// Applies only to this method; `None` is all.
    #[serde(default)]
    pub method: Option<String>,
    /// Applies only to this path after `/santaba/rest`; a `*` at its end matches any suffix.
    #[serde(default)]
    pub path: Option<String>,
    /// How many matching requests pass before the first fault.
    #[serde(default)]
    pub skip: u32,
    /// How many matching requests the fault applies to; `None` is all.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// The HTTP status, from 200 to 599; for kinds with a status.
    #[serde(default, deserialize_with = "read_status", skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The time span, from 0 to 86400; for kinds that wait.
    #[serde(default, deserialize_with = "read_seconds", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The rate limit headers, for [`FaultKind::RateLimited`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<RateHeaders>,
    /// The error code, for kinds with an error in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The error message, for kinds with an error in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The target, for [`FaultKind::Redirect`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

#[allow(clippy::unnecessary_wraps, reason = "serde requires the type of the field")]
fn once() -> Option<u32> {
    Some(1)
}

impl From<FaultKind> for Fault {
    /// Returns a fault of this kind with its default parameters, for the next request.
    fn from(kind: FaultKind) -> Self {
        Self {
            kind,
            method: None,
            path: None,
            skip: 0,
            times: once(),
            status: None,
            seconds: None,
            headers: None,
            code: None,
            message: None,
            location: None,
        }
    }
}

const STATUS: &str = "a whole number from 200 to 599";

/// Reads the argument `status`; [`Fault::check`] checks its range.
fn read_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    expecting(Option::deserialize(deserializer), STATUS)
}

impl Fault {
    /// Returns a fault of this kind with its default parameters, for the next request.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        kind.into()
    }

    /// Parses the header `X-Sandbox-Fault`: a fault as JSON, or the kind alone.
    pub(super) fn parse_header(text: &str) -> Result<Self, Error> {
        let fault = if text.trim_start().starts_with('{') {
            arguments::read::<Self>("fault", text.as_bytes())?
        } else {
            arguments::read_value::<FaultKind>("kind", &Value::from(text.trim()))?.into()
        };
        fault.check()
    }

    /// Rejects faults that could never apply and parameters that the kind does not take; converts the method to upper
    /// case.
    fn check(mut self) -> Result<Self, Error> {
        use FaultKind as Kind;
        let kind = self.kind;
        let has_status = matches!(
            kind,
            Kind::StatusBeforeActing | Kind::ActThenStatus | Kind::Html | Kind::ActThenHtml | Kind::Redirect
        );
        let has_error = matches!(
            kind,
            Kind::StatusBeforeActing
                | Kind::ActThenStatus
                | Kind::ErrorIn200
                | Kind::V1Error
                | Kind::RateLimited
        );
        let waits = matches!(kind, Kind::Delay | Kind::ActThenDelay | Kind::Trickle | Kind::Late);
        let parameters = [
            ("status", self.status.is_some(), has_status),
            ("seconds", self.seconds.is_some(), waits),
            ("headers", self.headers.is_some(), kind == Kind::RateLimited),
            ("code", self.code.is_some(), has_error),
            ("message", self.message.is_some(), has_error),
            ("location", self.location.is_some(), kind == Kind::Redirect),
        ];
        if let Some((name, ..)) = parameters.iter().find(|(_, is_given, is_taken)| *is_given && !is_taken) {
            return Err(Error::argument(format!("the fault {} does not take {name}", kind.word())));
        }
        if let Some(status) = self.status.filter(|status| !(200..=599).contains(status)) {
            return Err(Error::invalid("status", status, STATUS));
        }
        check_seconds(self.seconds)?;
        if let Some(location) =
            self.location.as_ref().filter(|text| !text.bytes().all(|b| b.is_ascii_graphic()))
        {
            let expected = "a URL of visible ASCII characters";
            return Err(Error::invalid("location", format_args!("{location:?}"), expected));
        }
        if let Some(path) = self.path.as_ref().filter(|path| !path.starts_with(['/', '*'])) {
            let expected = "the path after /santaba/rest, such as /setting/admins/32/apitokens or /setting/*";
            return Err(Error::invalid("path", format_args!("{path:?}"), expected));
        }
        self.method = self.method.as_deref().map(check_method).transpose()?;
        Ok(self)
    }

    fn matches(&self, method: &str, resource_path: &str) -> bool {
        let path_matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => resource_path.starts_with(start),
            None => resource_path == pattern,
        };
        self.method.as_deref().is_none_or(|expected| expected == method)
            && self.path.as_deref().is_none_or(path_matches)
    }
}

impl FaultKind {
    /// Returns the kind as JSON spells it.
    fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Random faults: the same ones for the same seed and order of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomFaults {
    /// The seed of the random numbers.
    pub seed: u64,
    /// The share of requests with a fault, from 0 to 1.
    #[serde(deserialize_with = "read_rate")]
    pub rate: f64,
    /// The kinds of fault, each equally likely.
    pub kinds: Vec<FaultKind>,
    /// Applies only to these methods; `None` is all.
    pub methods: Option<Vec<String>>,
    /// The time span, from 0 to 86400, for kinds that wait; `None` is the default of each kind.
    #[serde(deserialize_with = "read_seconds")]
    pub seconds: Option<f64>,
}

impl Default for RandomFaults {
    /// Returns faults for a tenth of the requests, of every kind that a network, a proxy or an overloaded portal can
    /// cause without a long delay.
    fn default() -> Self {
        use FaultKind as Kind;
        Self {
            seed: 0,
            rate: 0.1,
            kinds: vec![
                Kind::CloseBeforeActing,
                Kind::ActThenClose,
                Kind::StatusBeforeActing,
                Kind::ActThenStatus,
                Kind::Html,
                Kind::ActThenHtml,
                Kind::RateLimited,
                Kind::Truncated,
                Kind::Garbage,
                Kind::Empty,
            ],
            methods: None,
            seconds: None,
        }
    }
}

const RATE: &str = "a number from 0 to 1";

/// Reads the argument `rate`; [`RandomFaults::check`] checks its range.
fn read_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    expecting(f64::deserialize(deserializer), RATE)
}

impl RandomFaults {
    fn check(mut self) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Error::invalid("rate", self.rate, RATE));
        }
        if self.kinds.is_empty() {
            return Err(Error::invalid("kinds", "[]", "at least one kind of fault"));
        }
        check_seconds(self.seconds)?;
        for method in self.methods.iter_mut().flatten() {
            *method = check_method(method)?;
        }
        Ok(self)
    }
}

/// The faults in force.
#[derive(Debug, Default)]
pub(super) struct Faults {
    scripted: Vec<Fault>,
    random: Option<(SplitMix64, RandomFaults)>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) -> Result<(), Error> {
        self.scripted.push(fault.check()?);
        Ok(())
    }

    pub(super) fn set_random(&mut self, random: Option<RandomFaults>) -> Result<(), Error> {
        let random = random.map(RandomFaults::check).transpose()?;
        self.random = random.map(|random| (SplitMix64::new(random.seed), random));
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the fault of the next request: the first scripted one that applies, or a random one.
    pub(super) fn next(&mut self, method: &str, resource_path: &str) -> Option<Fault> {
        if self.scripted.is_empty() && self.random.is_none() {
            return None;
        }
        self.scripted.retain(|fault| fault.times != Some(0));
        for fault in self.scripted.iter_mut().filter(|fault| fault.matches(method, resource_path)) {
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times = fault.times.map(|times| times.saturating_sub(1));
            return Some(fault.clone());
        }
        let (generator, random) = self.random.as_mut()?;
        if random.methods.as_ref().is_some_and(|methods| !methods.iter().any(|expected| expected == method)) {
            return None;
        }
        if generator.fraction() >= random.rate {
            return None;
        }
        let kind = *generator.choose(&random.kinds)?;
        Some(Fault { seconds: random.seconds, ..kind.into() })
    }
}
