//! Requests as `--dry-run` shows them.

use crate::client::{Client, Request};
use crate::credentials::Credentials;
use crate::secret::MASK;

/// Returns a request with its signature masked.
pub(super) fn shown(request: &Request, client: &Client) -> String {
    let identity = client.identity();
    let query: Vec<(&str, &str)> =
        request.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = identity.portal.url(&request.resource_path, &query);
    let scheme = match identity.credentials {
        Some(Credentials::Bearer { .. }) => "Bearer",
        _ => "LMv1",
    };
    let body = request.body.as_deref().map(|body| format!("{}\n", String::from_utf8_lossy(body)));
    let (method, body) = (request.method.as_str(), body.unwrap_or_default());
    format!("{method} {url}\nAuthorization: {scheme} {MASK}\n{body}")
}
