//! The portal's audit log of requests for which a disabled token was refused.

use std::net::IpAddr;

use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{items, members};
use crate::model::Token;

/// A request that was signed with a disabled token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RefusedCall {
    /// Seconds since 1970-01-01 UTC.
    pub(super) time: i64,
    pub(super) address: Option<IpAddr>,
}

/// Returns the last refused request with a token since a time. The portal filters the log, and its answer is filtered
/// again. A bearer token has no access id, which the log would name.
pub(super) async fn last_refused_call(
    client: &Client,
    token: &Token,
    since: i64,
) -> Result<Option<RefusedCall>> {
    let Some(access_id) = &token.access_id else { return Ok(None) };
    let request = Request {
        method: Method::Get,
        endpoint: "/setting/accesslogs",
        resource_path: "/setting/accesslogs".to_owned(),
        query: vec![
            ("size", "50".to_owned()),
            ("sort", "-happenedOn".to_owned()),
            ("filter", format!("username:\"{access_id}\",happenedOn>{since}")),
        ],
        body: None,
    };
    let response = client.send(&request).await?;
    let unreadable = || Error::new(ErrorKind::Response, "the response does not contain an audit log");
    let text = std::str::from_utf8(&response.body).map_err(|_| unreadable())?;
    let [entries] = members(text, ["items"]).ok().flatten().ok_or_else(unreadable)?;
    let mut last: Option<RefusedCall> = None;
    let read = |entry| {
        let Ok(Some([username, description, happened_on, ip])) =
            members(entry, ["username", "description", "happenedOn", "ip"])
        else {
            return;
        };
        let is_refused = username.text().as_deref() == Some(access_id.as_str())
            && description.text().is_some_and(|text| text.contains("Failed API request"));
        let Some(time) = happened_on.floor().filter(|time| is_refused && *time > since) else { return };
        if last.is_none_or(|last| last.time < time) {
            last = Some(RefusedCall { time, address: ip.text().and_then(|ip| ip.parse().ok()) });
        }
    };
    items(entries.raw().ok_or_else(unreadable)?, read).ok_or_else(unreadable)?;
    Ok(last)
}
