//! The owners of tokens, as far as an audit needs them.

use std::collections::HashMap;

use super::list::sized;
use super::unreadable::Unreadable;
use crate::client::{Client, Method, Request, off_thread};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::PageSize;
use crate::json::{items, members};
use crate::model::role_names;

/// Users by their ids.
pub(crate) type Owners = HashMap<i64, Owner>;

/// What matters of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) is_suspended: bool,
    /// Whether the user can log in to the portal, and not only use its API.
    pub(crate) can_log_in: bool,
    pub(crate) is_administrator: bool,
}

/// Returns whether the built-in role with every permission is among the names of a user's roles.
pub(crate) fn is_administrator(roles: &[String]) -> bool {
    roles.iter().any(|role| role.eq_ignore_ascii_case("administrator"))
}

/// Returns all users. One that is skipped because others are deleted meanwhile is missing.
pub(crate) async fn owners(client: &Client) -> Result<Owners> {
    let mut owners = Owners::new();
    let mut size = PageSize::default();
    let mut offset = 0;
    let mut has_reported = false;
    loop {
        let request = Request {
            method: Method::Get,
            endpoint: "/setting/admins",
            resource_path: "/setting/admins".to_owned(),
            query: vec![
                ("offset", offset.to_string()),
                ("sort", "+id".to_owned()),
                ("fields", "id,status,apionly,roles".to_owned()),
            ],
            body: None,
        };
        let body = sized(client, &request, &mut size).await?.body;
        let page = off_thread(body.len(), move || Page::read(&body)).await.flatten();
        let Some(Page { found, received, unreadable }) = page else {
            return Err(Error::new(ErrorKind::Response, "the response does not contain a list of users"));
        };
        if !has_reported {
            unreadable.report(client, "users");
            has_reported = unreadable.count > 0;
        }
        let known = owners.len();
        owners.extend(found);
        // A page that adds nothing is of a portal that ignores the offset.
        if received < size.get() as usize || owners.len() == known {
            return Ok(owners);
        }
        offset += received;
    }
}

/// A page of a list of users.
struct Page {
    found: Vec<(i64, Owner)>,
    received: usize,
    unreadable: Unreadable,
}

impl Page {
    fn read(body: &[u8]) -> Option<Self> {
        let [list] = members(std::str::from_utf8(body).ok()?, ["items"]).ok()??;
        let mut found = Vec::new();
        let mut unreadable = Unreadable::default();
        let received = items(list.raw()?, |item| match owner(item) {
            Some(owner) => found.push(owner),
            None => unreadable.add(item),
        })?;
        Some(Self { found, received, unreadable })
    }
}

fn owner(item: &str) -> Option<(i64, Owner)> {
    let [id, status, apionly, roles] = members(item, ["id", "status", "apionly", "roles"]).ok()??;
    let owner = Owner {
        is_suspended: status.text().is_some_and(|status| status.eq_ignore_ascii_case("suspended")),
        can_log_in: apionly.raw() == Some("false"),
        is_administrator: is_administrator(&role_names(roles)),
    };
    Some((id.whole_number()?, owner))
}
