//! The settings of a sandbox: one table for Rust, Python, HTTP and the shell.
//!
//! A new setting is a field here with its default, and its effect. The shell takes its option and help from the field.
//! Python needs its type and description in `python/lmtokens/sandbox.py`, HTTP its description in
//! `docs/sandbox-control.md`; a test compares the names.

#![cfg_attr(
    feature = "cli",
    allow(clippy::doc_markdown, reason = "doc comments are help texts here, and backticks would be printed")
)]

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::arguments::{expecting, read_value};
use super::rate_limit::Window;
use super::seconds::Seconds;
use crate::error::Error;

const LOCK_OUT_AFTER: u32 = 10;
const RECORD_LIMIT: u32 = 100_000;
/// 30 minutes, as the vendor documents.
const TIMESTAMP_WINDOW: u32 = 1800;

/// The settings of a [`Portal`](super::Portal); the default behaves like the real portal, on a free port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Set the port on 127.0.0.1; 0 selects a free one
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "PORT", default_value_t, allow_negative_numbers = true)
    )]
    pub port: u16,
    /// Set the rate limit: requests per window for each method and endpoint [default: as the portal]
    #[cfg_attr(feature = "cli", arg(long, value_name = "REQUESTS", allow_negative_numbers = true))]
    pub rate_limit: Option<u32>,
    /// Set the window of the rate limit [default: 60]
    #[serde(rename = "window", deserialize_with = "read_window")]
    #[cfg_attr(feature = "cli", arg(long = "window", value_name = "SECONDS", allow_negative_numbers = true))]
    pub window_seconds: Option<f64>,
    /// Set the sandbox's clock ahead, or behind if negative
    #[serde(rename = "clock_offset")]
    #[cfg_attr(
        feature = "cli",
        arg(long = "clock-offset", value_name = "SECONDS", default_value_t, allow_negative_numbers = true)
    )]
    pub clock_offset_seconds: i64,
    /// Derive all generated credentials from a number [default: random]
    #[cfg_attr(feature = "cli", arg(long, value_name = "NUMBER", allow_negative_numbers = true))]
    pub seed: Option<u64>,
    /// Keep at most this many requests in the record; the oldest are dropped first. 0 keeps none, which is fastest
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "REQUESTS", default_value_t = RECORD_LIMIT, allow_negative_numbers = true)
    )]
    pub record_limit: u32,
    #[allow(missing_docs, reason = "a doc comment would replace the description of the command")]
    #[cfg_attr(feature = "cli", command(flatten))]
    pub behavior: Behavior,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            rate_limit: None,
            window_seconds: None,
            clock_offset_seconds: 0,
            seed: None,
            record_limit: RECORD_LIMIT,
            behavior: Behavior::default(),
        }
    }
}

impl From<Behavior> for Settings {
    fn from(behavior: Behavior) -> Self {
        Self { behavior, ..Self::default() }
    }
}

impl Settings {
    /// Returns the window of the rate limits.
    pub(super) fn window(&self) -> Result<Option<Duration>, Error> {
        let window =
            self.window_seconds.map(|seconds| Window::from_seconds("window", seconds)).transpose()?;
        Ok(window.map(Window::length))
    }
}

/// Reads the argument `window`; [`Settings::window`] checks its range.
fn read_window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    expecting(Option::deserialize(deserializer), Window::EXPECTED)
}

/// The settings that can also change while the sandbox runs. Most imitate what the real portal may do, to find out how a
/// client copes with it; they are off by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args), command(next_help_heading = "Behavior of the portal"))]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "settings are independent")]
pub struct Behavior {
    /// Lock a token out after this many failures of its access id in a row; 0 never does
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "FAILURES", default_value_t = LOCK_OUT_AFTER, allow_negative_numbers = true)
    )]
    pub lock_out_after: u32,
    /// Report the negative of their total in lists, as some endpoints of the real portal do
    #[cfg_attr(feature = "cli", arg(long))]
    pub negative_totals: bool,
    /// Accept signatures whose time differs by at most this much
    ///
    /// The vendor documents 30 minutes. One source found it to be a setting of the portal, which
    /// /setting/companySetting returns as timestampWindowOfApiUsersInSec.
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "SECONDS", default_value_t = TIMESTAMP_WINDOW, allow_negative_numbers = true)
    )]
    pub timestamp_window: u32,
    /// Show a use of a token in lastUsedOn and lastAuthIp only after this time
    ///
    /// The real portal's lag is unknown.
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "SECONDS", default_value_t, allow_negative_numbers = true)
    )]
    pub last_used_lag: Seconds,
    /// Show all lists as they were this long ago
    ///
    /// A created token appears, a changed one shows its change, and a deleted one disappears only after this time.
    /// Whether lists of the real portal lag is unknown.
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "SECONDS", default_value_t, allow_negative_numbers = true)
    )]
    pub list_lag: Seconds,
    /// Reject the requests of a token until this long after it was enabled, or created enabled
    ///
    /// The real portal's delay, if any, is unknown.
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "SECONDS", default_value_t, allow_negative_numbers = true)
    )]
    pub enable_delay: Seconds,
    /// Set the maximum length of notes [default: none]
    ///
    /// The vendor documents no maximum; the real one is unknown.
    #[cfg_attr(feature = "cli", arg(long, value_name = "CHARACTERS", allow_negative_numbers = true))]
    pub note_limit: Option<u32>,
    /// Select what happens to a longer note
    #[cfg_attr(feature = "cli", arg(long, value_name = "ACTION", value_enum, default_value_t))]
    pub long_notes: LongNotes,
    /// Delete a user's bearer token when another one is created for the user
    ///
    /// The vendor's page calls bearer tokens unique for each user, which may mean this; it is not certain.
    #[cfg_attr(feature = "cli", arg(long))]
    pub one_bearer_per_user: bool,
    /// Disable tokens that were not used, created or enabled for this many days; 0 never does
    ///
    /// The real portal does this after a number of days that /setting/companySetting returns as tokenDisabledDays (one
    /// source); 365 according to the vendor's page. The tokens with which the sandbox starts are not disabled.
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "DAYS", default_value_t, allow_negative_numbers = true)
    )]
    pub token_disabled_days: u32,
    /// Return this number as userSuspendDays from /setting/companySetting, without other effect
    ///
    /// One source reports the name.
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "DAYS", default_value_t, allow_negative_numbers = true)
    )]
    pub user_suspend_days: u32,
    /// Count an e-mail for each create and change of an LMv1 token
    ///
    /// /setting/companySetting returns this as enableUserDetailsEmailNotification (one source). The vendor documents
    /// e-mails for changes in the user interface; whether changes over the API send them is unknown.
    #[cfg_attr(feature = "cli", arg(long))]
    pub email_notifications: bool,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            lock_out_after: LOCK_OUT_AFTER,
            negative_totals: false,
            timestamp_window: TIMESTAMP_WINDOW,
            last_used_lag: Seconds::default(),
            list_lag: Seconds::default(),
            enable_delay: Seconds::default(),
            note_limit: None,
            long_notes: LongNotes::default(),
            one_bearer_per_user: false,
            token_disabled_days: 0,
            user_suspend_days: 0,
            email_notifications: false,
        }
    }
}

impl Behavior {
    /// Returns this behavior with some settings replaced.
    pub(super) fn with(&self, changes: Map<String, Value>) -> Result<Self, Error> {
        let Value::Object(mut settings) = serde_json::to_value(self).unwrap_or_default() else {
            unreachable!("a struct is an object")
        };
        settings.extend(changes);
        read_value("settings", &Value::Object(settings))
    }
}

/// What the portal does with a note that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum LongNotes {
    /// Rejects the request.
    #[default]
    Reject,
    /// Stores the first characters.
    Cut,
}
