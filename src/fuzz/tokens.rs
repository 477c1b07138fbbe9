use serde_json::Value;

use crate::client::{Method, RawResponse, outcome};
use crate::ids::{TokenId, Type};
use crate::json::mended;
use crate::marker;
use crate::model::{Origin, Token, TokenType};
use crate::portal::PortalAddress;
use crate::token_output::Form;
use crate::tokens::tokens_of_page;

/// Reads a body as a list of tokens and as one token.
pub(super) fn tokens(input: &[u8]) {
    let text = super::text(input);
    let once = mended(&text);
    assert_eq!(mended(&once), once, "mending a second time changes the JSON");
    if let Ok(value) = serde_json::from_str::<Value>(&text) {
        assert_eq!(once, text, "valid JSON is changed: {value}");
    }
    let response = RawResponse {
        status: 200,
        date: None,
        rate: None,
        redirect_host: None,
        compression: None,
        body: input.to_vec().into(),
    };
    let Ok(body) = outcome(Method::Get, Ok(response)) else { return };
    for r#type in Type::ALL {
        let requested = TokenType::from(r#type);
        for token in tokens_of_page(&body, r#type).unwrap_or_default() {
            assert!(TokenId::new(token.id).is_ok());
            check(&token);
        }
        let shown = Token::from_json(&body, Origin::Other, &requested);
        let created = Token::from_json(&body, Origin::Create, &requested);
        assert_eq!(shown.is_some(), created.is_some());
        let (Some(shown), Some(created)) = (shown, created) else { continue };
        check(&shown);
        check_secret(&created);
        check_written(&created);
        assert_eq!(Token { masked_bearer: None, ..shown.clone() }, created.without_secret());
        if TokenId::new(shown.id).is_ok() {
            let page = [br#"{"items":["#, &body[..], b"]}"].concat();
            assert_eq!(tokens_of_page(&page, r#type).ok(), Some(vec![shown]), "the same token in a list");
        }
    }
}

fn check(token: &Token) {
    assert_eq!(token.access_key, None);
    assert!(token.created_on.is_none_or(|time| time > 0));
    assert!(token.was_used || token.last_used_on.is_none());
    assert!(token.roles.iter().all(|role| !role.is_empty()));
    let note = token.whole_note();
    let read = note.as_deref().map(|note| marker::split(token.id, note));
    let user_part = token.note.as_deref().map(|note| (token.marker, note));
    assert_eq!(read, user_part, "the whole note is read differently");
}

fn check_secret(created: &Token) {
    let Some(key) = created.access_key.as_ref().filter(|key| key.reveal().len() > 24) else { return };
    let others = format!("{:?}", created.without_secret());
    assert!(
        others.contains(key.reveal()) || !format!("{created:?}").contains(key.reveal()),
        "a key is shown"
    );
}

/// Fails if what a destination writes is not the secret, or would not be known again.
fn check_written(created: &Token) {
    let (Some(key), Ok(portal)) = (&created.access_key, PortalAddress::of_company("acme", None)) else {
        return;
    };
    let assigned = format!("={}", key.reveal());
    for form in [Form::Json, Form::Env, Form::EnvFile, Form::Key] {
        let Ok(written) = form.write(created, &portal) else { continue };
        let is_read = match form {
            Form::Json => {
                let value = serde_json::from_str::<Value>(&written).unwrap_or_default();
                value.get("access_key").and_then(Value::as_str) == Some(key.reveal())
            }
            Form::Env => {
                let words = shlex::split(&written).unwrap_or_default();
                words.iter().any(|word| word.ends_with(&assigned))
            }
            Form::EnvFile => written.lines().any(|line| line.ends_with(&assigned)),
            Form::Key => written.strip_suffix('\n') == Some(key.reveal()),
        };
        assert!(is_read, "{form:?}: {}", *written);
        // Of a text with line breaks or an access id with a quotation mark, it is not known whose it is.
        let is_known = match (&created.access_id, form) {
            (_, Form::Json) => true,
            (Some(id), Form::Env | Form::EnvFile) if created.r#type != TokenType::Bearer => {
                !id.contains(['\'', '\n', '\r']) && !key.reveal().contains(['\n', '\r'])
            }
            _ => false,
        };
        if is_known {
            assert!(
                form.has_one_token(&written) && form.has_only(&written, created),
                "{form:?}: {}",
                *written
            );
        }
    }
}
