//! Listing tokens, page by page as they are wanted.
//!
//! Pages are asked for by key (`id>N`, sorted by id), so that tokens which are deleted meanwhile shift nothing. Where
//! that cannot be (a raw filter with alternatives, a portal that does not sort), pages overlap: each must begin before
//! the end of what was seen, or the list has shifted and the next request steps back.
//!
//! Source: the vendor's page "Getting API Token Details". Without `type` the portal lists LMv1 tokens only, with
//! `type=bearer` bearer tokens only; "all tokens" is two lists.

use std::collections::{HashSet, VecDeque};
use std::time::SystemTime;

use serde_json::Value;

use super::admin::Admin;
use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::model::{Answer, Token, TokenType};

/// The most that the portal gives in one page.
const MAX_PAGE_SIZE: u32 = 1000;

/// Which types of token to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Types {
    /// Both, LMv1 first.
    #[default]
    All,
    /// LMv1 only.
    Lmv1,
    /// Bearer only.
    Bearer,
}

impl Types {
    /// The types that a user names; all where none is named.
    pub fn parse(word: Option<&str>) -> Result<Self> {
        match word.map(TokenType::parse) {
            None => Ok(Self::All),
            Some(Ok(TokenType::Bearer)) => Ok(Self::Bearer),
            Some(Ok(_)) => Ok(Self::Lmv1),
            Some(Err(error)) => Err(error),
        }
    }
}

/// Which tokens to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Wanted {
    /// Every one.
    #[default]
    All,
    /// Those that meet conditions.
    Filter(Filter),
    /// Those that the portal chooses by a text in its own grammar, sent as it is.
    Raw(String),
}

impl Wanted {
    fn matches(&self, token: &Token) -> bool {
        match self {
            Self::Filter(filter) => filter.matches(token),
            Self::All | Self::Raw(_) => true,
        }
    }

    /// Whether another condition can be put before it.
    fn takes_a_condition(&self) -> bool {
        !matches!(self, Self::Raw(raw) if raw.contains("||"))
    }

    fn for_portal(&self, condition: Option<&str>) -> String {
        match self {
            Self::All => condition.unwrap_or_default().to_owned(),
            Self::Filter(filter) => filter.for_portal(condition),
            Self::Raw(raw) => {
                let parts = condition.into_iter().chain(Some(raw.as_str()).filter(|raw| !raw.is_empty()));
                parts.collect::<Vec<_>>().join(",")
            }
        }
    }
}

/// Lists tokens.
#[derive(Debug, Clone)]
pub struct ListTokens {
    /// Of one user only.
    pub admin: Option<Admin>,
    /// Of which types.
    pub types: Types,
    /// Which of them.
    pub wanted: Wanted,
    /// How many to ask for at once, 1 to 1000.
    pub page_size: u32,
}

impl Default for ListTokens {
    fn default() -> Self {
        Self { admin: None, types: Types::All, wanted: Wanted::All, page_size: MAX_PAGE_SIZE }
    }
}

impl ListTokens {
    /// Begins; nothing is sent before the first page is wanted.
    pub fn start(self) -> Result<Listing> {
        if !(1..=MAX_PAGE_SIZE).contains(&self.page_size) {
            return Err(Error::argument(format!(
                "page_size {} is not accepted: accepted are 1 to {MAX_PAGE_SIZE}",
                self.page_size
            )));
        }
        if let Some(admin) = &self.admin {
            admin.check()?;
        }
        let types = match self.types {
            Types::All => vec![TokenType::Lmv1, TokenType::Bearer],
            Types::Lmv1 => vec![TokenType::Lmv1],
            Types::Bearer => vec![TokenType::Bearer],
        };
        let mut listing = Listing {
            by_key: true,
            verb: self,
            admin_id: None,
            remaining_types: types.into(),
            cursor: TypeCursor::default(),
        };
        if !listing.verb.wanted.takes_a_condition() {
            listing.overlap_from_here();
        }
        Ok(listing)
    }
}

/// A list that is being read.
#[derive(Debug)]
pub struct Listing {
    verb: ListTokens,
    admin_id: Option<i64>,
    by_key: bool,
    remaining_types: VecDeque<TokenType>,
    cursor: TypeCursor,
}

/// More than any list has.
const UNTOLD: u64 = u64::MAX;

/// How far the list of one type is read.
#[derive(Debug, Default)]
struct TypeCursor {
    seen: HashSet<i64>,
    /// How many tokens there were at the first page; `UNTOLD` where the portal did not say.
    first_total: Option<u64>,
    last_id: i64,
    offset: u64,
}

/// One page as it came.
struct Page {
    tokens: Vec<Token>,
    received: usize,
    total: Option<i64>,
}

impl Page {
    /// Whether nothing can follow it. A negative total means that the portal does not know.
    fn is_last(&self, offset: u64, page_size: u32) -> bool {
        let received = self.received as u64;
        match self.total {
            Some(total) if total >= 0 => offset + received >= total.unsigned_abs(),
            _ => received < u64::from(page_size),
        }
    }
}

impl Listing {
    /// The next tokens, never none; `None` at the end. An error leaves the list where it was: asking again goes on.
    pub async fn next_page(&mut self, client: &Client) -> Result<Option<Vec<Token>>> {
        if let (None, Some(admin)) = (self.admin_id, &self.verb.admin) {
            self.admin_id = Some(admin.id(client).await?);
        }
        while let Some(r#type) = self.remaining_types.front().cloned() {
            let (tokens, at_end) = if self.by_key {
                self.page_by_key(client, &r#type).await?
            } else {
                self.overlapping_page(client, &r#type).await?
            };
            if at_end {
                self.remaining_types.pop_front();
                self.cursor = TypeCursor::default();
            }
            let tokens: Vec<Token> =
                tokens.into_iter().filter(|token| self.verb.wanted.matches(token)).collect();
            if !tokens.is_empty() {
                return Ok(Some(tokens));
            }
        }
        Ok(None)
    }

    fn overlap_from_here(&mut self) {
        self.by_key = false;
        // A page of one could not overlap.
        self.verb.page_size = self.verb.page_size.max(2);
    }

    async fn page_by_key(&mut self, client: &Client, r#type: &TokenType) -> Result<(Vec<Token>, bool)> {
        let last_id = self.cursor.last_id;
        let after = (last_id > 0).then(|| format!("id>{last_id}"));
        let filter = self.verb.wanted.for_portal(after.as_deref());
        let page = self.request(client, r#type, &filter, 0).await?;
        let mut highest = last_id;
        for token in &page.tokens {
            if token.id <= highest {
                // A portal that does not sort, or does not know the filter.
                self.overlap_from_here();
                return Ok((self.new_ones(page.tokens), false));
            }
            highest = token.id;
        }
        let at_end = page.received == 0 || page.is_last(0, self.verb.page_size);
        let one_page = last_id == 0 && at_end;
        let first_total =
            *self.cursor.first_total.get_or_insert(page.total.map_or(UNTOLD, i64::unsigned_abs));
        self.cursor.last_id = highest;
        let tokens = self.new_ones(page.tokens);
        if at_end && !one_page && (self.cursor.seen.len() as u64) < first_total {
            // Some were deleted meanwhile, or the pages were sorted by accident and lower ids come after them.
            self.overlap_from_here();
            return Ok((tokens, false));
        }
        Ok((tokens, at_end))
    }

    async fn overlapping_page(&mut self, client: &Client, r#type: &TokenType) -> Result<(Vec<Token>, bool)> {
        /// More steps than any list needs that is not being rewritten all the time.
        const MAX_STEPS: u32 = 64;
        let page_size = u64::from(self.verb.page_size);
        let usual_overlap = page_size.div_ceil(10);
        let filter = self.verb.wanted.for_portal(None);
        let mut overlap = usual_overlap;
        let mut steps_back = 0;
        while steps_back < MAX_STEPS {
            let offset = self.cursor.offset.saturating_sub(overlap);
            let page = self.request(client, r#type, &filter, offset).await?;
            let reaches_back = page.tokens.iter().any(|token| self.cursor.seen.contains(&token.id));
            if offset > 0 && !reaches_back {
                overlap = overlap.saturating_mul(2).max(page_size);
                steps_back += 1;
                continue;
            }
            let received = page.received as u64;
            let at_end = received == 0 || page.is_last(offset, self.verb.page_size);
            let tokens = self.new_ones(page.tokens);
            // A total may count what is not shown.
            let at_end = at_end || (tokens.is_empty() && received < page_size);
            let before = std::mem::replace(&mut self.cursor.offset, offset + received);
            if self.cursor.offset <= before {
                steps_back += 1;
            }
            if !tokens.is_empty() || at_end {
                return Ok((tokens, at_end));
            }
            overlap = usual_overlap.min(received.saturating_sub(1));
        }
        Err(Error::new(ErrorKind::Response, "the list of tokens changes faster than it can be read")
            .suggest("list with a larger page_size, or without a raw filter that has alternatives"))
    }

    fn new_ones(&mut self, tokens: Vec<Token>) -> Vec<Token> {
        tokens.into_iter().filter(|token| self.cursor.seen.insert(token.id)).collect()
    }

    async fn request(&self, client: &Client, r#type: &TokenType, filter: &str, offset: u64) -> Result<Page> {
        let mut query = vec![
            ("size", self.verb.page_size.to_string()),
            ("offset", offset.to_string()),
            ("sort", "+id".to_owned()),
        ];
        if !filter.is_empty() {
            query.push(("filter", filter.to_owned()));
        }
        let (tokens, received, total, _) = page(client, self.admin_id, r#type, query).await?;
        Ok(Page { tokens, received, total })
    }
}

/// The newest tokens of one user, in one request, and the portal's clock.
pub(super) async fn newest_of_owner(
    client: &Client,
    admin_id: i64,
    r#type: &TokenType,
) -> Result<(Vec<Token>, Option<SystemTime>)> {
    let query = vec![("size", MAX_PAGE_SIZE.to_string()), ("sort", "-id".to_owned())];
    let (tokens, _, _, date) = page(client, Some(admin_id), r#type, query).await?;
    Ok((tokens, date))
}

/// The tokens of one type that a filter finds, in one request.
pub(super) async fn found_by(client: &Client, r#type: &TokenType, filter: String) -> Result<Vec<Token>> {
    let query = vec![("size", MAX_PAGE_SIZE.to_string()), ("filter", filter)];
    let (tokens, ..) = page(client, None, r#type, query).await?;
    Ok(tokens)
}

async fn page(
    client: &Client,
    admin_id: Option<i64>,
    r#type: &TokenType,
    mut query: Vec<(&'static str, String)>,
) -> Result<(Vec<Token>, usize, Option<i64>, Option<SystemTime>)> {
    if let Some(value) = r#type.query_value() {
        query.push(("type", value.to_owned()));
    }
    let (endpoint, resource_path) = match admin_id {
        Some(admin_id) => {
            ("/setting/admins/{adminId}/apitokens", format!("/setting/admins/{admin_id}/apitokens"))
        }
        None => ("/setting/admins/apitokens", "/setting/admins/apitokens".to_owned()),
    };
    let request = Request { method: Method::Get, endpoint, resource_path, query, body: None };
    let answer = client.send(&request).await?;
    let Some(Value::Array(items)) = answer.body.get("items") else {
        return Err(Error::new(ErrorKind::Response, "the answer holds no list of tokens"));
    };
    let read = |item: &Value| {
        let mut token = Token::from_json(item, Answer::Other, r#type)?;
        token.admin_id = token.admin_id.or(admin_id);
        Some(token)
    };
    let tokens: Vec<Token> = items.iter().filter_map(read).collect();
    client.visibility().record_listed(tokens.iter().map(|token| token.id));
    Ok((tokens, items.len(), answer.body.get("total").and_then(Value::as_i64), answer.date))
}
