//! What the portal offers, and what the caller may do with it.

use axum::http::Method;
use serde_json::{Map, Value};

use super::envelope::{Outcome, Refusal, Success};
use super::exchange::Exchange;
use super::page::Page;
use super::store::Store;
use super::token::{ENABLED, NewToken, OwnedToken, StoredToken, TokenType};
use super::user::User;

/// A resource by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Users,
    AllTokens,
    TokensOf(u32),
    Token(u32, u32),
    Unknown,
}

impl Route {
    /// Takes a path after `/santaba/rest` apart.
    pub(super) fn parse(resource_path: &str) -> Self {
        let mut segments = resource_path.split('/');
        if (segments.next(), segments.next(), segments.next()) != (Some(""), Some("setting"), Some("admins"))
        {
            return Self::Unknown;
        }
        match (segments.next(), segments.next(), segments.next(), segments.next()) {
            (None, ..) => Self::Users,
            (Some("apitokens"), None, ..) => Self::AllTokens,
            (Some(admin), Some("apitokens"), None, _) => id(admin).map_or(Self::Unknown, Self::TokensOf),
            (Some(admin), Some("apitokens"), Some(token), None) => match (id(admin), id(token)) {
                (Some(admin), Some(token)) => Self::Token(admin, token),
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }

    /// What shares one rate limit per method.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::Users => "/setting/admins",
            Self::AllTokens => "/setting/admins/apitokens",
            Self::TokensOf(_) => "/setting/admins/{adminId}/apitokens",
            Self::Token(..) => "/setting/admins/{adminId}/apitokens/{apitokenId}",
            Self::Unknown => "",
        }
    }
}

/// An id is digits only and 32-bit.
fn id(segment: &str) -> Option<u32> {
    let digits = segment.bytes().all(|byte| byte.is_ascii_digit());
    segment.parse().ok().filter(|id| digits && i32::try_from(*id).is_ok())
}

/// Carries out an admitted request for `caller`.
pub(super) fn answer(store: &mut Store, exchange: &Exchange, route: Route, caller: u32) -> Outcome {
    let Some(caller) = store.users.get(&caller).cloned() else {
        return Err(Refusal::permission("The user of this token does not exist"));
    };
    match (&exchange.method, route) {
        (&Method::GET, Route::Users) => list_users(store, exchange, &caller),
        (&Method::GET, Route::AllTokens) => list_tokens(store, exchange, &caller, None),
        (&Method::GET, Route::TokensOf(admin)) => list_tokens(store, exchange, &caller, Some(admin)),
        (&Method::POST, Route::TokensOf(admin)) => create(store, exchange, &caller, admin),
        (&Method::PATCH, Route::Token(admin, token)) => change(store, exchange, &caller, admin, token),
        (&Method::PUT, Route::Token(admin, token)) => replace(store, exchange, &caller, admin, token),
        (&Method::DELETE, Route::Token(admin, token)) => delete(store, &caller, admin, token),
        _ => Err(Refusal::not_found("No such resource")),
    }
}

fn list_users(store: &Store, exchange: &Exchange, caller: &User) -> Outcome {
    let page = Page::parse::<User>(exchange)?;
    let show = |user: &&User| {
        let visible = |token: &&StoredToken| {
            caller.may_view && token.admin_id == user.id && token.r#type == TokenType::Lmv1
        };
        user.to_json(&store.tokens().filter(visible).collect::<Vec<_>>(), caller)
    };
    page.answer(store.users.values(), show, store.negative_totals)
}

fn list_tokens(store: &Store, exchange: &Exchange, caller: &User, owner: Option<u32>) -> Outcome {
    let wanted = token_type(exchange)?;
    let page = Page::parse::<OwnedToken<'_>>(exchange)?;
    if owner.is_some_and(|owner| !store.users.contains_key(&owner)) {
        return Err(no_such_user());
    }
    let listed = |token: &&StoredToken| {
        caller.may_view && token.r#type == wanted && owner.is_none_or(|owner| owner == token.admin_id)
    };
    let tokens = store
        .tokens()
        .filter(listed)
        .map(|token| OwnedToken { token, owner: store.users.get(&token.admin_id) });
    page.answer(tokens, |item| item.token.shown(item.owner, caller), store.negative_totals)
}

fn create(store: &mut Store, exchange: &Exchange, caller: &User, admin: u32) -> Outcome {
    if !caller.may_create {
        return Err(Refusal::permission("No permission to create API tokens"));
    }
    let Some(owner) = store.users.get(&admin).cloned() else {
        return Err(no_such_user());
    };
    let wanted = token_type(exchange)?;
    let body = TokenBody::parse(exchange.body())?;
    let new = NewToken {
        admin_id: admin,
        note: body.note.unwrap_or_default(),
        status: body.status.unwrap_or(ENABLED),
        r#type: wanted,
        ..NewToken::default()
    };
    let token = store.create(new, &caller.username).map_err(|cause| Refusal::internal(cause.to_string()))?;
    Success::new(&token.told_once(Some(&owner), caller), true)
}

fn change(store: &mut Store, exchange: &Exchange, caller: &User, admin: u32, token: u32) -> Outcome {
    let token = manageable(store, caller, admin, token)?;
    let body = TokenBody::parse(exchange.body())?;
    write(store, caller, token, body)
}

/// Unlike PATCH, a PUT sets what it does not name to its default; for the status that is enabled.
fn replace(store: &mut Store, exchange: &Exchange, caller: &User, admin: u32, token: u32) -> Outcome {
    let token = manageable(store, caller, admin, token)?;
    let body = TokenBody::parse(exchange.body())?;
    let whole =
        TokenBody { note: Some(body.note.unwrap_or_default()), status: Some(body.status.unwrap_or(ENABLED)) };
    write(store, caller, token, whole)
}

fn write(store: &mut Store, caller: &User, id: u32, body: TokenBody) -> Outcome {
    let Some(token) = store.token_mut(id) else {
        return Err(no_such_token());
    };
    let (note, status) =
        (body.note.unwrap_or_else(|| token.note.clone()), body.status.unwrap_or(token.status));
    let applied = token.note != note || token.status != status;
    (token.note, token.status) = (note, status);
    let token = token.clone();
    Success::new(&token.shown(store.users.get(&token.admin_id), caller), applied)
}

fn delete(store: &mut Store, caller: &User, admin: u32, token: u32) -> Outcome {
    let token = manageable(store, caller, admin, token)?;
    store.remove(token);
    Ok(Success { body: b"{}\r\n".to_vec(), applied: true })
}

/// The token, if it is that user's and the caller may change it.
fn manageable(store: &Store, caller: &User, admin: u32, token: u32) -> Result<u32, Refusal> {
    if !caller.may_manage {
        return Err(Refusal::permission("No permission to manage API tokens"));
    }
    match store.token(token) {
        Some(token) if token.admin_id == admin => Ok(token.id),
        _ => Err(no_such_token()),
    }
}

fn no_such_user() -> Refusal {
    Refusal::not_found("No such user")
}

fn no_such_token() -> Refusal {
    Refusal::not_found("No such API token")
}

/// The query parameter `type`: `bearer`, or LMv1 as its absence; "API Token" is an older contract's default.
fn token_type(exchange: &Exchange) -> Result<TokenType, Refusal> {
    match exchange.parameter("type").as_deref() {
        None | Some("" | "API Token") => Ok(TokenType::Lmv1),
        Some("bearer") => Ok(TokenType::Bearer),
        Some(other) => Err(Refusal::bad_request(format!("Invalid value for query parameter type: {other}"))),
    }
}

/// The writable members of a token; everything else in a body is ignored.
#[derive(Debug)]
struct TokenBody {
    note: Option<String>,
    status: Option<i64>,
}

impl TokenBody {
    fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let members: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| Refusal::bad_request("The request body must be a JSON object"))?;
        let note = match members.get("note") {
            None | Some(Value::Null) => None,
            Some(Value::String(note)) => Some(note.clone()),
            Some(other) => return Err(wrong_type("java.lang.String", other)),
        };
        let status = match members.get("status") {
            None | Some(Value::Null) => None,
            Some(Value::Number(number)) => match number.as_i64() {
                Some(status @ 1..=ENABLED) => Some(status),
                _ => return Err(Refusal::bad_request(format!("Invalid status: {number}"))),
            },
            Some(other) => return Err(wrong_type("java.lang.Integer", other)),
        };
        Ok(Self { note, status })
    }
}

/// The text of the JSON library behind the real portal, which its errors let through.
fn wrong_type(wanted: &str, found: &Value) -> Refusal {
    Refusal::bad_request(match found {
        Value::String(text) => {
            let text = Value::from(text.as_str());
            format!("Cannot deserialize value of type `{wanted}` from String {text}: not a valid value")
        }
        Value::Array(_) => {
            format!(
                "Cannot deserialize value of type `{wanted}` from Array value (token `JsonToken.START_ARRAY`)"
            )
        }
        Value::Object(_) => {
            format!(
                "Cannot deserialize value of type `{wanted}` from Object value (token `JsonToken.START_OBJECT`)"
            )
        }
        Value::Bool(_) => {
            format!(
                "Cannot deserialize value of type `{wanted}` from Boolean value (token `JsonToken.VALUE_TRUE`)"
            )
        }
        Value::Number(_) | Value::Null => {
            format!("Cannot deserialize value of type `{wanted}` from Number value")
        }
    })
}
