//! The audit log, `/setting/accesslogs`: the requests for which a token was refused.

use std::collections::VecDeque;

use serde::Serialize;

use super::clock::Clock;
use super::filter::{Field, FieldKind, Filterable};
use super::record::without_secrets;
use super::request::ReceivedRequest;
use crate::model::iso_8601;

/// How many entries the log keeps; the oldest are dropped first.
const LIMIT: usize = 10_000;

/// An entry in the portal's JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuditEntry {
    id: String,
    username: String,
    description: String,
    happened_on: i64,
    happened_on_local: String,
    ip: String,
    session_id: String,
}

#[derive(Debug, Default)]
pub(super) struct AuditLog {
    entries: VecDeque<AuditEntry>,
    count: u64,
}

impl AuditLog {
    /// Adds the entry of a request that was refused although its access id exists.
    pub(super) fn add_refused(&mut self, clock: Clock, request: &ReceivedRequest, access_id: &str) {
        if self.entries.len() >= LIMIT {
            self.entries.pop_front();
        }
        self.count += 1;
        let (path, method) = (without_secrets(&request.path), &request.method);
        let happened_on = clock.now_seconds();
        self.entries.push_back(AuditEntry {
            id: format!("sandbox-{}", self.count),
            username: access_id.to_owned(),
            description: format!(
                "Failed API request: API token {access_id} attempted to access path '{path}' with Method: {method}"
            ),
            happened_on,
            happened_on_local: local_time(happened_on),
            ip: request.peer.ip.to_string(),
            session_id: String::new(),
        });
    }

    /// Returns the entries, newest first, as the real portal does by default.
    pub(super) fn entries(&self) -> impl Iterator<Item = &AuditEntry> {
        self.entries.iter().rev()
    }
}

/// Returns a time as `2026-11-24 08:21:45 UTC`, the time zone of the sandbox's account.
fn local_time(seconds: i64) -> String {
    iso_8601(seconds).replace('T', " ").replace("+00:00", " UTC")
}

impl Filterable for AuditEntry {
    const FIELDS: &'static [(&'static str, FieldKind)] = &[
        ("id", FieldKind::Text),
        ("username", FieldKind::Text),
        ("description", FieldKind::Text),
        ("happenedOn", FieldKind::Number),
        ("happenedOnLocal", FieldKind::Text),
        ("ip", FieldKind::Text),
        ("sessionId", FieldKind::Text),
    ];

    fn field(&self, name: &str) -> Option<Field<'_>> {
        Some(match name {
            "id" => Field::Text(&self.id),
            "username" => Field::Text(&self.username),
            "description" => Field::Text(&self.description),
            "happenedOn" => Field::Number(self.happened_on),
            "happenedOnLocal" => Field::Text(&self.happened_on_local),
            "ip" => Field::Text(&self.ip),
            "sessionId" => Field::Text(&self.session_id),
            _ => return None,
        })
    }
}
