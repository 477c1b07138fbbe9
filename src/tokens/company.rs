//! The settings of the company that concern tokens.
//!
//! Source: clients of others use `/setting/companySetting`; the vendor's API contract does not have it.

use crate::client::{Client, Method, Request};
use crate::error::{ErrorKind, Result};
use crate::json::members;

/// Returns after how many days the portal disables an unused token; `None` if it does not, or does not tell. A portal
/// that rejects the request is not an error, unless it rejects the credentials.
pub(crate) async fn token_disabled_days(client: &Client) -> Result<Option<i64>> {
    let request = Request {
        method: Method::Get,
        endpoint: "/setting/companySetting",
        resource_path: "/setting/companySetting".to_owned(),
        query: Vec::new(),
        body: None,
    };
    let body = match client.send(&request).await {
        Ok(response) => response.body,
        Err(error) if error.details().status.is_some() && error.kind() != ErrorKind::Authentication => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let days = members(text, ["tokenDisabledDays"]).ok().flatten().and_then(|[days]| days.whole_number());
    Ok(days.filter(|days| *days > 0))
}
