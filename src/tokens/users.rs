//! Listing users.

use std::collections::HashSet;

use serde_json::json;

use super::list::{endless, sized};
use super::unreadable::Unreadable;
use crate::client::{Client, Method, Request, off_thread};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::PageSize;
use crate::json::{items, members};
use crate::model::role_names;
use crate::operation::Operation;
use crate::token_output::{Member, Members};

/// A user as the portal reports it. Members that the portal did not send are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ListedUser {
    pub(crate) id: i64,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    /// The names of the roles.
    pub(crate) roles: Vec<String>,
    /// `active` or `suspended`.
    pub(crate) status: Option<String>,
    /// Whether the user can only use the API and not log in to the portal.
    pub(crate) api_only: Option<bool>,
}

/// The members of a user by the names that they have in Python and in the output of the shell.
pub(crate) const USER_MEMBERS: [Member<ListedUser>; 6] = [
    ("id", |user| json!(user.id)),
    ("name", |user| json!(user.name)),
    ("email", |user| json!(user.email)),
    ("roles", |user| json!(user.roles)),
    ("status", |user| json!(user.status)),
    ("api_only", |user| json!(user.api_only)),
];

impl ListedUser {
    fn read(item: &str) -> Option<Self> {
        let names = ["id", "username", "email", "roles", "status", "apionly"];
        let [id, username, email, roles, status, api_only] = members(item, names).ok()??;
        Some(Self {
            id: id.whole_number()?,
            name: username.text(),
            email: email.text().filter(|email| !email.is_empty()),
            roles: role_names(roles),
            status: status.text(),
            api_only: api_only.raw().and_then(|raw| raw.parse().ok()),
        })
    }

    /// Returns all members.
    pub(crate) fn members(&self) -> Members {
        Members::of(&USER_MEMBERS, self)
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.eq_ignore_ascii_case("suspended"))
    }

    pub(crate) fn is_administrator(&self) -> bool {
        is_administrator(&self.roles)
    }
}

/// Returns whether the built-in role with every permission is among the names of a user's roles.
pub(crate) fn is_administrator(roles: &[String]) -> bool {
    roles.iter().any(|role| role.eq_ignore_ascii_case("administrator"))
}

/// Lists all users, in the order of their ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListUsers;

impl Operation for ListUsers {
    type Output = Vec<ListedUser>;

    async fn run(self, client: &Client) -> Result<Vec<ListedUser>> {
        let mut pages = UserPages::matching(None);
        let mut users = Vec::new();
        while let Some(page) = pages.next_page(client).await? {
            users.extend(page);
        }
        if pages.ignores_offset() {
            return Err(endless("users"));
        }
        users.sort_by_key(|user| user.id);
        Ok(users)
    }
}

/// The pages of a list of users.
///
/// Pages are requested by key (`id>N`, sorted by id), so that a user deleted meanwhile does not shift the others. If
/// the portal does not sort or ignores the filter, or if users cannot be read, the list continues from its start by
/// offset.
pub(super) struct UserPages {
    filter: Option<String>,
    size: PageSize,
    position: Position,
    seen: HashSet<i64>,
    has_ended: bool,
    ignores_offset: bool,
    /// Whether unreadable items were reported: once per list.
    has_reported: bool,
}

/// The place in a list where its next page begins.
#[derive(Debug, Clone, Copy)]
enum Position {
    After(i64),
    Offset(usize),
}

impl UserPages {
    /// Starts the list of users that match a filter in the portal's grammar.
    pub(super) fn matching(filter: Option<String>) -> Self {
        Self {
            filter,
            size: PageSize::default(),
            position: Position::After(0),
            seen: HashSet::new(),
            has_ended: false,
            ignores_offset: false,
            has_reported: false,
        }
    }

    /// Returns whether the list ended because every page was the same.
    pub(super) fn ignores_offset(&self) -> bool {
        self.ignores_offset
    }

    /// Returns the next users, without those of earlier pages, or `None` at the end.
    pub(super) async fn next_page(&mut self, client: &Client) -> Result<Option<Vec<ListedUser>>> {
        if self.has_ended {
            return Ok(None);
        }
        let page = self.request(client).await?;
        let known = self.seen.len();
        let ids: Vec<i64> = page.users.iter().map(|user| user.id).collect();
        let users = page.users.into_iter().filter(|user| self.seen.insert(user.id)).collect();
        match self.position {
            Position::After(last_id) => {
                let is_sorted = ids.is_sorted_by(|one, next| one < next);
                let is_after = ids.first().is_none_or(|first| *first > last_id);
                self.has_ended = is_last(page.received, page.total, 0, self.size);
                self.position = if is_sorted && is_after && page.unreadable.count == 0 {
                    Position::After(ids.last().copied().unwrap_or(last_id))
                } else {
                    // A first page that is the only one is complete in any order.
                    self.has_ended &= last_id == 0;
                    Position::Offset(0)
                };
            }
            Position::Offset(offset) => {
                self.position = Position::Offset(offset + page.received);
                let is_repeated = offset >= known && self.seen.len() == known;
                self.ignores_offset = is_repeated && !ids.is_empty();
                self.has_ended = is_repeated || is_last(page.received, page.total, offset, self.size);
            }
        }
        Ok(Some(users))
    }

    async fn request(&mut self, client: &Client) -> Result<Page> {
        let (after, offset) = match self.position {
            Position::After(0) => (None, 0),
            Position::After(last_id) => (Some(format!("id>{last_id}")), 0),
            Position::Offset(offset) => (None, offset),
        };
        let filter: Vec<String> = after.into_iter().chain(self.filter.clone()).collect();
        let mut query = vec![
            ("offset", offset.to_string()),
            ("sort", "+id".to_owned()),
            ("fields", "id,username,email,roles,status,apionly".to_owned()),
        ];
        if !filter.is_empty() {
            query.push(("filter", filter.join(",")));
        }
        let request = Request {
            method: Method::Get,
            endpoint: "/setting/admins",
            resource_path: "/setting/admins".to_owned(),
            query,
            body: None,
        };
        let body = sized(client, &request, &mut self.size).await?.body;
        let page = off_thread(body.len(), move || Page::read(&body)).await.flatten();
        let page = page.ok_or_else(|| {
            Error::new(ErrorKind::Response, "the response does not contain a list of users")
        })?;
        if !self.has_reported {
            page.unreadable.report(client, "users");
            self.has_reported = page.unreadable.count > 0;
        }
        Ok(page)
    }
}

struct Page {
    users: Vec<ListedUser>,
    received: usize,
    total: Option<i64>,
    unreadable: Unreadable,
}

impl Page {
    /// Reads a page; `None` if it is not a list of users, or too long to be one.
    fn read(body: &[u8]) -> Option<Self> {
        /// More than fit into the longest response if each has the members that every user has.
        const MAX_USERS: usize = 100_000;
        let [list, total] = members(std::str::from_utf8(body).ok()?, ["items", "total"]).ok()??;
        let mut users = Vec::new();
        let mut unreadable = Unreadable::default();
        let received = items(list.raw()?, |item| match ListedUser::read(item) {
            Some(user) if users.len() < MAX_USERS => users.push(user),
            Some(_) => {}
            None => unreadable.add(item),
        })?;
        let is_complete = users.len() as u64 + unreadable.count == received as u64;
        is_complete.then_some(Self { users, received, total: total.whole_number(), unreadable })
    }
}

/// Returns whether a page ends its list. A negative total means that the portal does not know the total, and one below
/// the number of received items is wrong.
fn is_last(received: usize, total: Option<i64>, offset: usize, size: PageSize) -> bool {
    let end = offset + received;
    match total.and_then(|total| usize::try_from(total).ok()) {
        Some(total) if total >= end && received > 0 => total == end,
        _ => received < size.get() as usize,
    }
}
