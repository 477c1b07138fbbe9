//! What the portal saw, for tests to read; no credential is ever in it.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::auth::{Signature, Verdict};
use super::exchange::Exchange;
use super::faults::FaultKind;
use super::random::{BEARER_PREFIX, KEY_PREFIX};
use crate::secret::MASK;

/// One request under `/santaba/rest` that the portal saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// As received.
    pub method: String,
    /// As received, with `/santaba/rest`.
    pub path: String,
    /// As received, without the question mark.
    pub query: String,
    /// As text, with replacement characters where it was none.
    pub body: String,
    /// The names of the headers, in lower case and sorted.
    pub headers: Vec<String>,
    /// The value of `User-Agent`.
    pub user_agent: Option<String>,
    /// What became of the `Authorization` header.
    pub signature: Signature,
    /// The access id that an LMv1 header named.
    pub access_id: Option<String>,
    /// The id of the token that was named.
    pub token_id: Option<u32>,
    /// The HTTP status answered; `None` where the connection was closed without an answer, or before one.
    pub status: Option<u16>,
    /// The fault that was applied.
    pub fault: Option<FaultKind>,
    /// Whether the request made, changed or deleted anything.
    pub applied: bool,
    /// Counts connections from 1: equal numbers shared one.
    pub connection: u64,
    /// Milliseconds since 1970-01-01 UTC by the real clock.
    pub received_at_ms: u64,
}

/// Names one request of the record, also when older ones are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryId(u64);

#[derive(Debug)]
pub(super) struct Record {
    limit: usize,
    entries: VecDeque<Seen>,
    /// The number of the oldest entry, counted from the start of the portal.
    first: u64,
}

impl Record {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, entries: VecDeque::new(), first: 0 }
    }

    pub(super) fn open(
        &mut self,
        exchange: &Exchange,
        verdict: &Verdict,
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
        self.entries.push_back(seen(exchange, verdict, fault));
        Some(id)
    }

    pub(super) fn entry(&mut self, id: Option<EntryId>) -> Option<&mut Seen> {
        let index = id?.0.checked_sub(self.first)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    pub(super) fn to_vec(&self) -> Vec<Seen> {
        self.entries.iter().cloned().collect()
    }

    /// Forgets everything; ids given out before name nothing any more.
    pub(super) fn clear(&mut self) {
        self.first += self.entries.len() as u64;
        self.entries.clear();
    }
}

fn seen(exchange: &Exchange, verdict: &Verdict, fault: Option<FaultKind>) -> Seen {
    let mut headers: Vec<_> = exchange.headers.keys().map(|name| name.as_str().to_owned()).collect();
    headers.sort_unstable();
    let clean = |text: Cow<'_, str>| without_secrets(&text).into_owned();
    Seen {
        method: exchange.method.as_str().to_owned(),
        path: clean(Cow::Borrowed(&exchange.path)),
        query: clean(Cow::Borrowed(&exchange.query)),
        body: clean(String::from_utf8_lossy(exchange.body())),
        headers,
        user_agent: exchange
            .headers
            .get("user-agent")
            .map(|value| clean(String::from_utf8_lossy(value.as_bytes()))),
        signature: verdict.signature,
        access_id: verdict.access_id.as_deref().map(|id| clean(Cow::Borrowed(id))),
        token_id: verdict.token_id,
        status: None,
        fault,
        applied: false,
        connection: exchange.peer.connection,
        received_at_ms: exchange.received_at_ms,
    }
}

/// The text with every made-up secret masked, wherever a confused client put it.
///
/// All of them begin with one of two prefixes, and none contains a character that ends a value in JSON, a query or
/// a header.
fn without_secrets(text: &str) -> Cow<'_, str> {
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
