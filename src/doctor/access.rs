//! Checks of what the portal says to one signed request.

use super::Finding;
use crate::client::{Client, Policy};
use crate::error::{Error, ErrorKind};
use crate::model::RateHeaders;
use crate::operation::call;
use crate::tokens::{CallingToken, FirstPage};

pub(super) const REQUEST: &str = "request";
const PERMISSION: &str = "permission";
const RATE_LIMIT: &str = "rate_limit";

/// Adds the findings of a request that was not sent.
pub(super) fn skip(request: Finding, findings: &mut Vec<Finding>) {
    findings.push(request);
    findings.extend([PERMISSION, RATE_LIMIT].map(|name| Finding::skipped_after(name, REQUEST)));
}

/// Sends one request, never a second one, and checks the response.
pub(super) async fn check(client: &Client, findings: &mut Vec<Finding>) {
    let client = client.with_policy(Policy { max_attempts: 1, ..Policy::default() });
    match call(CallingToken, &client).await {
        Ok(page) => {
            findings.push(Finding::ok(REQUEST, "the portal accepts the credentials"));
            findings.push(permission(&page));
            findings.push(rate_limit(page.rate));
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            findings.push(Finding::ok(
                REQUEST,
                "the portal accepts the credentials (status 403: no permission to list)",
            ));
            findings.push(Finding::warning(PERMISSION, error.to_string(), VIEW));
            findings.push(rate_limit(None));
        }
        Err(error) => {
            let (rate, has_response) = (error.details().rate, error.details().status.is_some());
            findings.push(Finding::problem(REQUEST, rejected(error)));
            findings.push(Finding::skipped_after(PERMISSION, REQUEST));
            findings.push(if has_response {
                rate_limit(rate)
            } else {
                Finding::skipped_after(RATE_LIMIT, REQUEST)
            });
        }
    }
}

const VIEW: &str = "to list, find and audit tokens, give the user a role that may view API tokens";

/// Returns the error with its status and advice.
fn rejected(mut error: Error) -> Error {
    let details = error.details_mut();
    if let Some(status) = details.status {
        details.message = format!("{} (status {status})", details.message);
    }
    if error.details().status == Some(511) {
        let details = error.details_mut();
        details.advice = vec!["log in to the network, which answers instead of the portal".into()];
        return error;
    }
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Response => error
            .suggest("check the company: the name of a portal that does not exist may have an address too"),
        _ if !error.details().advice.is_empty() => error,
        ErrorKind::Connect | ErrorKind::Transport | ErrorKind::RequestTimeout => {
            error.suggest("check the network and the proxy, or allow a longer timeout (--timeout)")
        }
        _ => error.suggest("try again later; if it fails again, ask the portal's operator"),
    }
}

fn permission(page: &FirstPage) -> Finding {
    let Some(token) = &page.own else {
        if page.has_others {
            return Finding::ok(
                PERMISSION,
                "the user can view API tokens; the list does not show which one signs this call",
            );
        }
        if page.has_unreadable {
            let message = "the list has items that cannot be read, of which the calling token may be one";
            return Finding::warning(
                PERMISSION,
                message,
                "check that nothing between this machine and the portal changes responses",
            );
        }
        let message =
            "the list does not show the calling token: the user may lack the permission to view API tokens";
        return Finding::warning(PERMISSION, message, VIEW);
    };
    let owner = token.admin_name.as_ref().map(|name| format!(" of user {name}")).unwrap_or_default();
    let level =
        token.user_permission.as_ref().map(|level| format!(", permission {level}")).unwrap_or_default();
    Finding::ok(
        PERMISSION,
        format!("the user can view API tokens; the calling token is {}{owner}{level}", token.id),
    )
}

fn rate_limit(rate: Option<RateHeaders>) -> Finding {
    let Some(RateHeaders { limit, remaining, window }) = rate else {
        return Finding::skipped(RATE_LIMIT, "the response does not have the rate limit");
    };
    let message =
        format!("{remaining} of {limit} requests in {} s remain for this resource", window.as_secs());
    if remaining == 0 {
        return Finding::warning(RATE_LIMIT, message, "wait, or let fewer programs call the portal at once");
    }
    Finding::ok(RATE_LIMIT, message)
}
