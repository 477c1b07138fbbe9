//! An earlier report, to compare an audit with.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::reason::AuditReason;
use crate::error::{Error, Result};

/// The tokens of an earlier report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EarlierReport {
    /// The entries by the token's id, which is unique in one portal.
    entries: HashMap<i64, Vec<Entry>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// The portal; `None` in a list of tokens that is not of an audit.
    portal: Option<String>,
    reasons: Vec<AuditReason>,
    token: Map<String, Value>,
}

/// A token that had reasons in the earlier report that do not apply any more.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gone {
    /// The address of its portal.
    pub portal: String,
    /// The profile.
    pub profile: Option<String>,
    /// The token as in the earlier report.
    pub token: Map<String, Value>,
    /// The reasons that do not apply any more.
    pub reasons: Vec<AuditReason>,
}

impl EarlierReport {
    /// Reads the JSON of a report, or of a list of tokens, from a file.
    pub fn read(path: &Path) -> Result<Self> {
        let cannot_read = |problem: String| {
            Error::argument(format!("cannot read the report {}: {problem}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| cannot_read(error.to_string()))?;
        Self::parse(&text).map_err(|problem| cannot_read(problem.to_string()))
    }

    /// Reads the JSON of a report: an array of tokens, or an object with `findings`.
    pub fn parse(json: &str) -> Result<Self, &'static str> {
        let list = match serde_json::from_str(json) {
            Ok(Value::Object(mut report)) => report.remove("findings").unwrap_or_default(),
            Ok(list) => list,
            Err(_) => return Err("it is not valid JSON"),
        };
        let Value::Array(list) = list else { return Err("it is not an array of tokens") };
        let mut entries: HashMap<i64, Vec<Entry>> = HashMap::new();
        for item in list {
            let Value::Object(mut token) = item else { return Err("it is not an array of tokens") };
            let Some(id) = token.get("id").and_then(Value::as_i64) else {
                return Err("a token in it has no id");
            };
            if token.contains_key("change") {
                return Err("it is a comparison of reports, written with --diff");
            }
            for name in ["severity", "remedy", "profile"] {
                token.remove(name);
            }
            let reasons = token.remove("reasons");
            let words = reasons.as_ref().and_then(Value::as_array).into_iter().flatten();
            // Another version may know other reasons.
            let reasons = words.filter_map(|word| word.as_str()?.parse().ok()).collect();
            let portal = token.remove("portal").and_then(|portal| portal.as_str().map(str::to_owned));
            entries.entry(id).or_default().push(Entry { portal, reasons, token });
        }
        Ok(Self { entries })
    }

    fn entry(&self, portal: &str, id: i64) -> Option<&Entry> {
        self.entries.get(&id)?.iter().find(|entry| entry.is_of(portal))
    }

    /// Returns the address that a token was last used from.
    pub(super) fn address(&self, portal: &str, id: i64) -> Option<&str> {
        let address = self.entry(portal, id)?.token.get("last_auth_ip")?.as_str()?;
        Some(address).filter(|address| !address.is_empty())
    }

    /// Returns the reasons that a token did not have.
    pub(super) fn new_reasons(&self, portal: &str, id: i64, reasons: &[AuditReason]) -> Vec<AuditReason> {
        let known = self.entry(portal, id).map(|entry| entry.reasons.as_slice()).unwrap_or_default();
        // A change of the address is an event: each report has its own.
        let is_new =
            |reason: &&AuditReason| **reason == AuditReason::AddressChanged || !known.contains(reason);
        reasons.iter().filter(is_new).copied().collect()
    }

    /// Returns the tokens of a portal with reasons that do not apply any more. `still_applies` says whether a token has
    /// a reason now, or may have it.
    pub(super) fn gone(
        &self,
        portal: &str,
        profile: Option<&str>,
        still_applies: impl Fn(i64, AuditReason) -> bool,
    ) -> Vec<Gone> {
        let mut ids: Vec<i64> = self.entries.keys().copied().collect();
        ids.sort_unstable();
        let gone = |id: i64| {
            let entry = self.entry(portal, id)?;
            let is_gone = |reason: &&AuditReason| {
                **reason != AuditReason::AddressChanged && !still_applies(id, **reason)
            };
            let reasons: Vec<AuditReason> = entry.reasons.iter().filter(is_gone).copied().collect();
            let (portal, profile) = (portal.to_owned(), profile.map(str::to_owned));
            (!reasons.is_empty()).then(|| Gone { portal, profile, token: entry.token.clone(), reasons })
        };
        ids.into_iter().filter_map(gone).collect()
    }
}

impl Entry {
    fn is_of(&self, portal: &str) -> bool {
        self.portal.as_deref().is_none_or(|own| own == portal)
    }
}
