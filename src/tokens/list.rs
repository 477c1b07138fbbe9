//! Listing tokens page by page.
//!
//! Pages are requested by key (`id>N`, sorted by id), so that a token deleted meanwhile does not shift the others. If
//! that is not possible (a raw filter with alternatives, a portal that does not sort), pages overlap: a page that does
//! not reach back to a known token means that the list has shifted, and the next request steps back.
//!
//! Source: the vendor's page "Getting API Token Details". Without `type` the portal lists LMv1 tokens only, with
//! `type=bearer` bearer tokens only; "all tokens" is two lists.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::unreadable::Unreadable;
use super::user::User;
use crate::client::{Client, Method, Request, Response, off_thread};
use crate::error::{Error, ErrorKind, INTERNAL_ERROR, Result};
use crate::filter::Filter;
use crate::ids::{AdminId, PageSize, TokenId, Type};
use crate::json::{items, members};
use crate::model::{Origin, Token, TokenType};

/// The tokens to select.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Selection {
    /// Every token.
    #[default]
    All,
    /// Tokens that meet conditions.
    Filter(Filter),
    /// Tokens that match a filter in the portal's own grammar, which is sent unchanged.
    Raw(String),
}

impl Selection {
    fn matches(&self, token: &Token) -> bool {
        match self {
            Self::Filter(filter) => filter.matches(token),
            Self::All | Self::Raw(_) => true,
        }
    }

    /// Returns whether another condition can be put in front.
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
#[derive(Debug, Clone, Default)]
pub(crate) struct ListTokens {
    /// The owner; `None` for every user.
    pub admin: Option<User>,
    /// The type; `None` for both, LMv1 first.
    pub r#type: Option<Type>,
    /// The tokens to select.
    pub selection: Selection,
    /// The number of tokens per request.
    pub page_size: PageSize,
}

impl ListTokens {
    /// Starts the list. The first page is requested by [`Listing::next_page`].
    #[must_use]
    pub(crate) fn start(self) -> Listing {
        let types = self.r#type.map_or_else(|| Type::ALL.to_vec(), |r#type| vec![r#type]);
        let mut listing = Listing {
            by_key: true,
            list: self,
            admin_id: None,
            remaining_types: types.into(),
            cursor: TypeCursor::default(),
            has_reported: false,
        };
        if !listing.list.selection.takes_a_condition() {
            listing.overlap_from_here();
        }
        listing
    }

    /// Reads the whole list.
    pub(crate) async fn collect(self, client: &Client) -> Result<Vec<Token>> {
        let mut listing = self.start();
        let mut tokens = Vec::new();
        while let Some(page) = listing.next_page(client).await? {
            tokens.extend(page);
        }
        Ok(tokens)
    }
}

/// A list in progress.
#[derive(Debug)]
pub(crate) struct Listing {
    list: ListTokens,
    admin_id: Option<AdminId>,
    by_key: bool,
    remaining_types: VecDeque<Type>,
    cursor: TypeCursor,
    /// Whether unreadable items were reported: once per list, whose pages may show an item again.
    has_reported: bool,
}

/// A total that no list reaches.
const UNKNOWN_TOTAL: u64 = u64::MAX;

/// The position in the list of one type.
#[derive(Debug, Default)]
struct TypeCursor {
    seen: HashSet<i64>,
    /// The total at the first page; `UNKNOWN_TOTAL` if the portal did not report one.
    first_total: Option<u64>,
    last_id: i64,
    /// By key: the number of unreadable items after the last token. They have no id to continue from.
    skipped: u64,
    /// By key: the number of all unreadable items.
    unreadable: u64,
    offset: u64,
}

/// One page of a response.
pub(super) struct Page {
    pub(super) tokens: Vec<Token>,
    /// The number of items, including those that are not tokens.
    received: usize,
    pub(super) unreadable: Unreadable,
    /// Whether the first item is not a token.
    starts_unreadable: bool,
    /// The number of items after the last token.
    trailing: usize,
    total: Option<i64>,
}

impl Page {
    /// Reads a page; an item that is not a token does not hide the others.
    pub(super) fn read(body: &[u8], r#type: Type) -> Result<Self> {
        /// More than fit into the longest response if each has the members that every token has.
        const MAX_TOKENS: usize = 100_000;
        let invalid = |problem: String| Error::new(ErrorKind::Response, problem);
        let no_list = || invalid("the response does not contain a list of tokens".to_owned());
        let members =
            std::str::from_utf8(body).ok().and_then(|text| members(text, ["items", "total"]).ok()?);
        let [list, total] = members.ok_or_else(no_list)?;
        let requested = r#type.into();
        let total = total.whole_number();
        let mut tokens = Vec::new();
        let mut is_too_many = false;
        let mut unreadable = Unreadable::default();
        let mut starts_unreadable = false;
        let mut trailing = 0;
        let read = |item| {
            let token = Token::from_json_text(item, Origin::Other, &requested);
            match token.filter(|token| TokenId::new(token.id).is_ok()) {
                Some(_) if tokens.len() == MAX_TOKENS => is_too_many = true,
                Some(token) => {
                    tokens.push(token);
                    trailing = 0;
                }
                None => {
                    starts_unreadable |= tokens.is_empty();
                    trailing += 1;
                    unreadable.add(item);
                }
            }
        };
        let received = match list.raw() {
            // Some software omits what is empty.
            None if total == Some(0) => Some(0),
            list => list.and_then(|list| items(list, read)),
        };
        let received = received.ok_or_else(no_list)?;
        if is_too_many {
            return Err(invalid(format!("the response contains more than {MAX_TOKENS} tokens")));
        }
        Ok(Self { tokens, received, unreadable, starts_unreadable, trailing, total })
    }

    /// Returns whether it ends the list. A negative total means that the portal does not know the total; one below the
    /// number of received items is wrong, unless the portal ignores the size of pages.
    fn is_last(&self, offset: u64, page_size: u32) -> bool {
        let (received, page_size) = (self.received as u64, u64::from(page_size));
        match self.total.and_then(|total| u64::try_from(total).ok()) {
            Some(total) if total >= offset + received => total == offset + received,
            Some(_) if received > page_size => true,
            _ => received < page_size,
        }
    }
}

/// Reads the tokens of one page of a list.
pub fn tokens_of_page(body: &[u8], r#type: Type) -> Result<Vec<Token>> {
    Page::read(body, r#type).map(|page| page.tokens)
}

/// The most pages in a row that add nothing: enough for any list that is not rewritten continuously.
const MAX_STEPS: u32 = 64;

/// Returns the error for a list that has no end.
pub(super) fn endless(of: &str) -> Error {
    let message = format!("the list of {of} changes faster than it can be read, or does not end");
    Error::new(ErrorKind::Response, message)
}

fn endless_tokens() -> Error {
    endless("tokens").suggest("use a larger page size, or a raw filter without alternatives")
}

impl Listing {
    /// Returns the next tokens, at least one, or `None` at the end. After an error the same page can be requested
    /// again.
    pub(crate) async fn next_page(&mut self, client: &Client) -> Result<Option<Vec<Token>>> {
        if let (None, Some(admin)) = (self.admin_id, &self.list.admin) {
            self.admin_id = Some(admin.id(client).await?);
        }
        while let Some(r#type) = self.remaining_types.front().copied() {
            let (tokens, at_end) = if self.by_key {
                self.page_by_key(client, r#type).await?
            } else {
                self.overlapping_page(client, r#type).await?
            };
            if at_end {
                self.remaining_types.pop_front();
                self.cursor = TypeCursor::default();
            }
            let tokens: Vec<Token> = tokens
                .into_iter()
                // A portal that ignores the type shows every token in both lists.
                .filter(|token| token.r#type == r#type.into() || matches!(token.r#type, TokenType::Other(_)))
                .filter(|token| self.list.selection.matches(token))
                .collect();
            if !tokens.is_empty() {
                return Ok(Some(tokens));
            }
        }
        Ok(None)
    }

    fn overlap_from_here(&mut self) {
        self.by_key = false;
        self.list.page_size = self.list.page_size.at_least_two();
    }

    async fn page_by_key(&mut self, client: &Client, r#type: Type) -> Result<(Vec<Token>, bool)> {
        let last_id = self.cursor.last_id;
        let after = (last_id > 0).then(|| format!("id>{last_id}"));
        let filter = self.list.selection.for_portal(after.as_deref());
        let skipped = self.cursor.skipped;
        if skipped > u64::from(MAX_STEPS) * u64::from(self.list.page_size.get()) {
            return Err(endless_tokens());
        }
        let page = self.request(client, r#type, &filter, skipped).await?;
        let mut highest = last_id;
        for token in &page.tokens {
            if token.id <= highest {
                // The portal does not sort, or ignores the filter.
                self.overlap_from_here();
                return Ok((self.new_ones(page.tokens), false));
            }
            highest = token.id;
        }
        let at_end = page.received == 0 || page.is_last(skipped, self.list.page_size.get());
        let one_page = last_id == 0 && at_end;
        let first_total =
            *self.cursor.first_total.get_or_insert(page.total.map_or(UNKNOWN_TOTAL, i64::unsigned_abs));
        self.cursor.last_id = highest;
        self.cursor.skipped = if page.tokens.is_empty() { skipped } else { 0 } + page.trailing as u64;
        self.cursor.unreadable += page.unreadable.count;
        let tokens = self.new_ones(page.tokens);
        if at_end && !one_page && (self.cursor.seen.len() as u64) + self.cursor.unreadable < first_total {
            // Tokens were deleted meanwhile, or the order was accidental and lower ids follow.
            self.overlap_from_here();
            return Ok((tokens, false));
        }
        Ok((tokens, at_end))
    }

    async fn overlapping_page(&mut self, client: &Client, r#type: Type) -> Result<(Vec<Token>, bool)> {
        let filter = self.list.selection.for_portal(None);
        let mut overlap = u64::from(self.list.page_size.get()).div_ceil(10);
        let mut steps_back = 0;
        while steps_back < MAX_STEPS {
            let offset = self.cursor.offset.saturating_sub(overlap);
            let page = self.request(client, r#type, &filter, offset).await?;
            // The request may have made the pages smaller.
            let page_size = u64::from(self.list.page_size.get());
            // An unreadable item can be the one that was there before.
            let reaches_back = page.starts_unreadable
                || page.tokens.iter().any(|token| self.cursor.seen.contains(&token.id));
            if offset > 0 && !reaches_back {
                overlap = overlap.saturating_mul(2).max(page_size);
                steps_back += 1;
                continue;
            }
            let received = page.received as u64;
            let at_end = received == 0 || page.is_last(offset, self.list.page_size.get());
            let tokens = self.new_ones(page.tokens);
            // The total may include tokens that the list does not show.
            let at_end = at_end || (tokens.is_empty() && received < page_size);
            let before = std::mem::replace(&mut self.cursor.offset, offset + received);
            // Before this offset there are only known and unreadable items.
            let is_beyond = offset > self.cursor.seen.len() as u64;
            if self.cursor.offset <= before || (tokens.is_empty() && is_beyond) {
                steps_back += 1;
            }
            if !tokens.is_empty() || at_end {
                return Ok((tokens, at_end));
            }
            overlap = page_size.div_ceil(10).min(received.saturating_sub(1));
        }
        Err(endless_tokens())
    }

    fn new_ones(&mut self, tokens: Vec<Token>) -> Vec<Token> {
        tokens.into_iter().filter(|token| self.cursor.seen.insert(token.id)).collect()
    }

    async fn request(&mut self, client: &Client, r#type: Type, filter: &str, offset: u64) -> Result<Page> {
        let mut query = vec![("offset", offset.to_string()), ("sort", "+id".to_owned())];
        if !filter.is_empty() {
            query.push(("filter", filter.to_owned()));
        }
        let (page, _) = page(client, self.admin_id, r#type, &mut self.list.page_size, query).await?;
        if !self.has_reported {
            page.unreadable.report(client, "tokens");
            self.has_reported = page.unreadable.count > 0;
        }
        Ok(page)
    }
}

/// Returns the newest tokens of one user, in one request, and the portal's time.
pub(super) async fn newest_of_owner(
    client: &Client,
    admin_id: AdminId,
    r#type: Type,
) -> Result<(Vec<Token>, Option<SystemTime>)> {
    let query = vec![("sort", "-id".to_owned())];
    let (page, date) = page(client, Some(admin_id), r#type, &mut PageSize::default(), query).await?;
    page.unreadable.report(client, "tokens");
    Ok((page.tokens, date))
}

/// Returns the tokens of one type that match a filter, in one request.
pub(super) async fn filtered(client: &Client, r#type: Type, filter: String) -> Result<Vec<Token>> {
    let query = vec![("filter", filter)];
    let (page, _) = page(client, None, r#type, &mut PageSize::default(), query).await?;
    page.unreadable.report(client, "tokens");
    Ok(page.tokens)
}

async fn page(
    client: &Client,
    admin_id: Option<AdminId>,
    r#type: Type,
    size: &mut PageSize,
    mut query: Vec<(&'static str, String)>,
) -> Result<(Page, Option<SystemTime>)> {
    query.extend(r#type.query_value().map(|value| ("type", value.to_owned())));
    let (endpoint, resource_path) = match admin_id {
        Some(admin_id) => {
            ("/setting/admins/{adminId}/apitokens", format!("/setting/admins/{admin_id}/apitokens"))
        }
        None => ("/setting/admins/apitokens", "/setting/admins/apitokens".to_owned()),
    };
    let request = Request { method: Method::Get, endpoint, resource_path, query, body: None };
    let response = sized(client, &request, size).await?;
    let body = response.body;
    let mut page = off_thread(body.len(), move || Page::read(&body, r#type))
        .await
        .unwrap_or_else(|| Err(Error::new(ErrorKind::Response, INTERNAL_ERROR)))?;
    let portal: Arc<str> = client.identity().portal.base_url().into();
    for token in &mut page.tokens {
        token.portal = Some(Arc::clone(&portal));
        token.admin_id = token.admin_id.or(admin_id.map(AdminId::get));
    }
    if admin_id.is_some_and(|id| page.tokens.iter().any(|token| token.admin_id != Some(id.get()))) {
        // A caller may delete what the list shows.
        return Err(Error::new(
            ErrorKind::Response,
            "the response to the list of one user's tokens shows tokens of another user",
        ));
    }
    client.visibility().record_listed(page.tokens.iter().map(|token| token.id));
    Ok((page, response.date))
}

/// Sends a request for a page of a list, and halves its size while the response is too long.
pub(super) async fn sized(client: &Client, request: &Request, size: &mut PageSize) -> Result<Response> {
    loop {
        let mut sized = request.clone();
        sized.query.insert(0, ("size", size.get().to_string()));
        match client.send(&sized).await {
            Err(error) if error.details().is_too_long => *size = size.half().ok_or(error)?,
            outcome => return outcome,
        }
    }
}
