//! The record of received requests, for tests to read. It never contains a credential.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::faults::FaultKind;
use super::random::{BEARER_PREFIX, KEY_PREFIX};
use super::request::ReceivedRequest;
use super::verification::{Signature, Verification};
use crate::secret::MASK;

/// A recorded request under `/santaba/rest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// As received.
    pub method: String,
    /// As received, with `/santaba/rest`.
    pub path: String,
    /// As received, without the question mark.
    pub query: String,
    /// As text; bytes that are not UTF-8 become replacement characters.
    pub body: String,
    /// The names of the headers, in lower case and sorted.
    pub headers: Vec<String>,
    /// The value of `User-Agent`.
    pub user_agent: Option<String>,
    /// The result of checking the `Authorization` header.
    pub signature: Signature,
    /// The mistakes that explain a refused LMv1 header.
    pub causes: Vec<String>,
    /// The access id in an LMv1 header.
    pub access_id: Option<String>,
    /// The id of the token in the `Authorization` header.
    pub token_id: Option<u32>,
    /// The HTTP status of the response; `None` if there was no response.
    pub status: Option<u16>,
    /// The fault that was applied.
    pub fault: Option<FaultKind>,
    /// Whether the request created, changed or deleted anything.
    pub applied: bool,
    /// The number of the connection, counted from 1.
    pub connection: u64,
    /// Milliseconds since 1970-01-01 UTC by the real clock.
    pub received_at_ms: u64,
}

/// Identifies a recorded request, even after older ones were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryId(u64);

#[derive(Debug)]
pub(super) struct Record {
    limit: usize,
    entries: VecDeque<Seen>,
    /// The number of the oldest entry, counted from the start of the sandbox.
    first: u64,
}

impl Record {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, entries: VecDeque::new(), first: 0 }
    }

    pub(super) fn open(
        &mut self,
        request: &ReceivedRequest,
        verification: &Verification,
        fault: Option<FaultKind>,
    ) -> Option<EntryId> {
        if self.limit == 0 {
            return None;
        }
        if self.entries.len() >= self.limit {
            self.entries.pop_front();
            self.first += 1;
        }
        let id = EntryId(self.first + self.entries.len() as u64);
        self.entries.push_back(seen(request, verification, fault));
        Some(id)
    }

    pub(super) fn entry(&mut self, id: Option<EntryId>) -> Option<&mut Seen> {
        let index = id?.0.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(super) fn to_vec(&self) -> Vec<Seen> {
        self.entries.iter().cloned().collect()
    }

    /// Deletes every entry and invalidates their ids.
    pub(super) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}

fn seen(request: &ReceivedRequest, verification: &Verification, fault: Option<FaultKind>) -> Seen {
    let mut headers: Vec<_> = request.headers.keys().map(|name| name.as_str().to_owned()).collect();
    headers.sort_unstable();
    let clean = |text: Cow<'_, str>| without_secrets(&text).into_owned();
    Seen {
        method: request.method.as_str().to_owned(),
        path: clean(Cow::Borrowed(&request.path)),
        query: clean(Cow::Borrowed(&request.query)),
        body: clean(String::from_utf8_lossy(request.body())),
        headers,
        user_agent: request
            .headers
            .get("user-agent")
            .map(|value| clean(String::from_utf8_lossy(value.as_bytes()))),
        signature: verification.signature,
        causes: Vec::new(),
        access_id: verification.access_id.as_deref().map(|id| clean(Cow::Borrowed(id))),
        token_id: verification.token_id,
        status: None,
        fault,
        applied: false,
        connection: request.peer.connection,
        received_at_ms: request.received_at_ms,
    }
}

/// Returns the text with every generated secret masked, in case a client sent one in the wrong place.
///
/// Every secret begins with one of two prefixes and contains none of the characters that end a value in JSON, a query
/// or a header.
pub(super) fn without_secrets(text: &str) -> Cow<'_, str> {
    const ENDS: &[char] = &['"', '\'', '&', ',', ';', ':', '/', '\\', '<', '>'];
    let next_secret =
        |text: &str| [KEY_PREFIX, BEARER_PREFIX].iter().filter_map(|prefix| text.find(prefix)).min();
    let Some(mut start) = next_secret(text) else {
        return Cow::Borrowed(text);
    };
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (before, secret) = rest.split_at(start);
        clean.push_str(before);
        clean.push_str(MASK);
        let ends = |c: char| c.is_whitespace() || ENDS.contains(&c);
        rest = secret.find(ends).map_or("", |end| secret.split_at(end).1);
        match next_secret(rest) {
            Some(next) => start = next,
            None => break,
        }
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}
