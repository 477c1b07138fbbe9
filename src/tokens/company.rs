//! The settings of the company that concern tokens.
//!
//! Source: clients of others use `/setting/companySetting`; the vendor's API contract does not have it.

use crate::client::{Client, Method, Request};
use crate::error::Result;
use crate::json::members;

/// Returns after how many days the portal disables an unused token; `None` if it does not, or does not tell. A failed
/// request is not an error, unless credentials are rejected.
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
        // Without a response, the portal's time is not known either.
        Err(error) if error.is_credential_rejection() || client.portal_time().is_none() => {
            return Err(error);
        }
        Err(_) => return Ok(None),
    };
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let days = members(text, ["tokenDisabledDays"]).ok().flatten().and_then(|[days]| days.whole_number());
    Ok(days.filter(|days| *days > 0))
}
