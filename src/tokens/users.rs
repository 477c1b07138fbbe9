//! Listing users.

use std::collections::HashSet;

use serde_json::json;

use super::list::sized;
use super::unreadable::Unreadable;
use crate::client::{Client, Method, Request, off_thread};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::PageSize;
use crate::json::{items, members};
use crate::model::role_names;
use crate::operation::Operation;
use crate::token_output::Members;

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

    /// Returns the members by the names that they have in Python and in the output of the shell.
    pub(crate) fn members(&self) -> Members {
        Members(vec![
            ("id", json!(self.id)),
            ("name", json!(self.name)),
            ("email", json!(self.email)),
            ("roles", json!(self.roles)),
            ("status", json!(self.status)),
            ("api_only", json!(self.api_only)),
        ])
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

/// Lists all users, in the order of their ids. One that is skipped because others are deleted meanwhile is missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListUsers;

impl Operation for ListUsers {
    type Output = Vec<ListedUser>;

    async fn run(self, client: &Client) -> Result<Vec<ListedUser>> {
        let mut pages = UserPages::matching(None);
        let mut users = Vec::new();
        let mut seen = HashSet::new();
        while let Some(page) = pages.next_page(client).await? {
            let known = seen.len();
            users.extend(page.into_iter().filter(|user| seen.insert(user.id)));
            if seen.len() == known {
                // The portal ignores the offset.
                break;
            }
        }
        Ok(users)
    }
}

/// The pages of a list of users.
pub(super) struct UserPages {
    filter: Option<String>,
    size: PageSize,
    offset: usize,
    has_ended: bool,
    /// Whether unreadable items were reported: once per list.
    has_reported: bool,
}

impl UserPages {
    /// Starts the list of users that match a filter in the portal's grammar.
    pub(super) fn matching(filter: Option<String>) -> Self {
        Self { filter, size: PageSize::default(), offset: 0, has_ended: false, has_reported: false }
    }

    /// Returns the next users, or `None` at the end.
    pub(super) async fn next_page(&mut self, client: &Client) -> Result<Option<Vec<ListedUser>>> {
        if self.has_ended {
            return Ok(None);
        }
        let mut query = vec![
            ("offset", self.offset.to_string()),
            ("sort", "+id".to_owned()),
            ("fields", "id,username,email,roles,status,apionly".to_owned()),
        ];
        query.extend(self.filter.clone().map(|filter| ("filter", filter)));
        let request = Request {
            method: Method::Get,
            endpoint: "/setting/admins",
            resource_path: "/setting/admins".to_owned(),
            query,
            body: None,
        };
        let body = sized(client, &request, &mut self.size).await?.body;
        let page = off_thread(body.len(), move || Page::read(&body)).await.flatten();
        let Some(Page { users, received, unreadable }) = page else {
            return Err(Error::new(ErrorKind::Response, "the response does not contain a list of users"));
        };
        if !self.has_reported {
            unreadable.report(client, "users");
            self.has_reported = unreadable.count > 0;
        }
        self.has_ended = received < self.size.get() as usize;
        self.offset += received;
        Ok(Some(users))
    }
}

struct Page {
    users: Vec<ListedUser>,
    received: usize,
    unreadable: Unreadable,
}

impl Page {
    /// Reads a page; `None` if it is not a list of users, or too long to be one.
    fn read(body: &[u8]) -> Option<Self> {
        /// More than fit into the longest response if each has the members that every user has.
        const MAX_USERS: usize = 100_000;
        let [list] = members(std::str::from_utf8(body).ok()?, ["items"]).ok()??;
        let mut users = Vec::new();
        let mut unreadable = Unreadable::default();
        let received = items(list.raw()?, |item| match ListedUser::read(item) {
            Some(user) if users.len() < MAX_USERS => users.push(user),
            Some(_) => {}
            None => unreadable.add(item),
        })?;
        let is_complete = users.len() as u64 + unreadable.count == received as u64;
        is_complete.then_some(Self { users, received, unreadable })
    }
}
