use serde::de::IgnoredAny;

use super::SECRET;
use crate::client::{Method, RawResponse, outcome as decide, redact};
use crate::credentials::Credentials;
use crate::portal::PortalAddress;
use crate::printable::is_hidden;
use crate::secret::Secret;
use crate::testing::credentials::identity;

/// Decides what a response means: the first line has the method and the status, the rest is the body. An error must not
/// repeat the access key of the request.
pub(super) fn outcome(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, rest) = input.split_at(end);
    let body = rest.get(1..).unwrap_or_default();
    let line = super::text(line);
    let (word, status) = first_word(&line);
    let methods = [Method::Get, Method::Post, Method::Patch, Method::Delete];
    let Some(method) = methods.into_iter().find(|method| method.as_str() == word) else { return };
    let Some(status) = status.parse().ok().filter(|status| (200..600).contains(status)) else { return };
    let response = RawResponse {
        status,
        date: None,
        rate: None,
        redirect_host: None,
        compression: None,
        body: body.to_vec().into(),
    };
    let mut error = match decide(method, Ok(response)) {
        Ok(body) => {
            assert!((200..300).contains(&status));
            assert!(body.is_empty() || serde_json::from_slice::<IgnoredAny>(&body).is_ok());
            return;
        }
        Err(error) => error,
    };
    assert_eq!(error.details().status, Some(status));
    assert!(method.is_write() || !error.details().maybe_applied);
    assert!(!method.is_write() || status < 500 || error.details().maybe_applied);

    let Ok(portal) = PortalAddress::of_company("acme", None) else { return };
    let Ok(credentials) =
        Credentials::from_pair(Some("exampleAccessId00001"), Secret::new(SECRET.to_owned()))
    else {
        panic!("the credentials are refused");
    };
    let identity = identity(portal, credentials);
    redact(error.details_mut(), &identity, None, "", body);
    let message = &error.details().message;
    assert!(message.chars().count() <= 500);
    assert!(!message.chars().any(is_hidden), "{message:?}");
    let folded = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let (message, secret) = (folded(message), folded(SECRET));
    let has_part = |part: &[u8]| message.as_bytes().windows(part.len()).any(|shown| shown == part);
    assert!(!secret.as_bytes().windows(8).any(has_part), "{message}");
}

fn first_word(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}
