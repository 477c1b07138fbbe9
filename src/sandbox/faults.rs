//! Faults that can be asked for: by script, at random from a seed, or by a header of the request.

use serde::{Deserialize, Serialize};

use super::random::SplitMix64;
use super::settings::duration;
use crate::error::Error;
use crate::lmv1::check_method;

/// What goes wrong.
///
/// "Before acting" means that the portal's store is left alone; "acts" that the request is carried out like any
/// other, and only the answer is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Closes the connection without an answer, before acting.
    CloseBeforeActing,
    /// Acts, then closes the connection without an answer.
    ActThenClose,
    /// Answers `status` (500) before acting.
    StatusBeforeActing,
    /// Acts, then answers `status` (500).
    ActThenStatus,
    /// Answers an HTML page with `status` (503) before acting.
    Html,
    /// Acts, then answers an HTML page with `status` (503).
    ActThenHtml,
    /// Answers 429 before acting, with rate headers as `headers` says.
    RateLimited,
    /// Waits `seconds` (1), then goes on as if nothing were wrong. The client's hanging up stops neither.
    Delay,
    /// Acts at once and answers after `seconds` (1).
    ActThenDelay,
    /// HTTP 200 with an error of version 3 in the body, before acting; `code` (1500) and `message`.
    #[serde(rename = "error-in-200")]
    ErrorIn200,
    /// Acts, and answers in the shape of version 1 whatever was asked for.
    V1Envelope,
    /// HTTP 200 with an error of version 1 in the body, before acting; `code` (1001) and `message`.
    V1Error,
    /// Acts, sends the headers and half of the body, and closes the connection.
    Truncated,
    /// Acts, and answers 200 with bytes that are no JSON.
    Garbage,
    /// Acts, and answers 200 with nothing.
    Empty,
    /// Acts, and answers 200 with JSON that is neither a token nor a list of tokens.
    WrongShape,
    /// Acts, and sends the body byte by byte with a pause of `seconds` (0.01) before each.
    Trickle,
    /// Redirects to `location` with `status` (302), before acting.
    Redirect,
    /// Acts, and answers the token without its access key.
    NoKey,
    /// Closes the connection without an answer, and acts only `seconds` (1) later.
    Late,
}

/// What the rate headers of a [`FaultKind::RateLimited`] answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateHeaders {
    /// The rate limit's limit and window, and nothing remaining.
    #[default]
    Normal,
    /// There are none.
    Missing,
    /// Texts that are no numbers.
    Nonsense,
    /// More remaining than the limit, in a window of no length.
    Contradictory,
}

/// A fault and which requests it strikes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Strikes only this method; `None` is every one.
    #[serde(default)]
    pub method: Option<String>,
    /// Strikes only this path after `/santaba/rest`, or with a `*` at its end every path that begins so.
    #[serde(default)]
    pub path: Option<String>,
    /// Lets so many matching requests pass first.
    #[serde(default)]
    pub skip: u32,
    /// Strikes so often; `None` is for ever.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// The HTTP status, for kinds that answer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The time span, for kinds that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The rate headers, for [`FaultKind::RateLimited`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<RateHeaders>,
    /// The error code, for kinds that answer an error in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// The error's text, for kinds that answer an error in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The target, for [`FaultKind::Redirect`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

#[allow(clippy::unnecessary_wraps, reason = "serde wants the member's type")]
fn once() -> Option<u32> {
    Some(1)
}

impl From<FaultKind> for Fault {
    /// The kind with its usual parameters, once, on the next request of any kind.
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

impl Fault {
    /// The kind with its usual parameters, once, on the next request of any kind.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        kind.into()
    }

    /// Reads the header `X-Sandbox-Fault`: JSON, or just a kind.
    pub(super) fn parse_header(text: &str) -> Result<Self, Error> {
        let fault = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)
        } else {
            serde_json::from_value(text.trim().into()).map(|kind: FaultKind| kind.into())
        };
        fault.map_err(|cause| Error::argument(cause.to_string())).and_then(Self::check)
    }

    /// Refuses what could never strike, and parameters that the kind does not know; raises the method to upper case.
    pub(super) fn check(mut self) -> Result<Self, Error> {
        use FaultKind as Kind;
        let kind = self.kind;
        let answers_status = matches!(
            kind,
            Kind::StatusBeforeActing | Kind::ActThenStatus | Kind::Html | Kind::ActThenHtml | Kind::Redirect
        );
        let answers_error = matches!(
            kind,
            Kind::StatusBeforeActing
                | Kind::ActThenStatus
                | Kind::ErrorIn200
                | Kind::V1Error
                | Kind::RateLimited
        );
        let waits = matches!(kind, Kind::Delay | Kind::ActThenDelay | Kind::Trickle | Kind::Late);
        let parameters = [
            ("status", self.status.is_some(), answers_status),
            ("seconds", self.seconds.is_some(), waits),
            ("headers", self.headers.is_some(), kind == Kind::RateLimited),
            ("code", self.code.is_some(), answers_error),
            ("message", self.message.is_some(), answers_error),
            ("location", self.location.is_some(), kind == Kind::Redirect),
        ];
        if let Some((name, ..)) = parameters.iter().find(|(_, given, known)| *given && !known) {
            return Err(Error::argument(format!("the fault {} has no parameter {name}", kind.word())));
        }
        if let Some(status) = self.status.filter(|status| !(200..=599).contains(status)) {
            return Err(Error::argument(format!("status {status} is not accepted: accepted are 200 to 599")));
        }
        if let Some(seconds) = self.seconds {
            duration("seconds", seconds)?;
        }
        if self.location.as_ref().is_some_and(|location| !location.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(Error::argument("location must be a URL of visible ASCII characters"));
        }
        if self.path.as_ref().is_some_and(|path| !path.starts_with(['/', '*'])) {
            return Err(Error::argument(
                "path must be what comes after /santaba/rest, such as /setting/admins/32/apitokens or /setting/*",
            ));
        }
        self.method = self.method.as_deref().map(check_method).transpose()?;
        Ok(self)
    }

    fn matches(&self, method: &str, resource_path: &str) -> bool {
        let path_matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => resource_path.starts_with(start),
            None => resource_path == pattern,
        };
        self.method.as_deref().is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(path_matches)
    }
}

impl FaultKind {
    /// The kind as JSON and headers spell it.
    pub(super) fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Faults that strike by chance, the same ones for the same seed and order of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomFaults {
    /// Where the numbers come from.
    pub seed: u64,
    /// The share of requests that are struck, from 0 to 1.
    pub rate: f64,
    /// What goes wrong, each as likely as the other.
    pub kinds: Vec<FaultKind>,
    /// Strikes only these methods; `None` is every one.
    pub methods: Option<Vec<String>>,
    /// The time span of those kinds that wait; `None` is each kind's own.
    pub seconds: Option<f64>,
}

impl Default for RandomFaults {
    /// A tenth of all requests, with every kind that a network, a proxy or an overloaded portal can cause without
    /// taking long over it.
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

impl RandomFaults {
    fn check(mut self) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Error::argument(format!("rate {} is not accepted: accepted are 0 to 1", self.rate)));
        }
        if self.kinds.is_empty() {
            return Err(Error::argument("kinds must name at least one kind of fault"));
        }
        if let Some(seconds) = self.seconds {
            duration("seconds", seconds)?;
        }
        for method in self.methods.iter_mut().flatten() {
            *method = check_method(method)?;
        }
        Ok(self)
    }
}

/// Every fault that was asked for.
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

    /// The fault of the next request: the first scripted one that strikes, else one by chance.
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
        if random.methods.as_ref().is_some_and(|methods| !methods.iter().any(|wanted| wanted == method)) {
            return None;
        }
        if generator.fraction() >= random.rate {
            return None;
        }
        let kind = *generator.choose(&random.kinds)?;
        Some(Fault { seconds: random.seconds, ..kind.into() })
    }
}
