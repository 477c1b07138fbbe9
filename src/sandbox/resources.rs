//! The resources of the API: users, tokens, the audit log and the settings of the account.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::audit_log::AuditEntry;
use super::envelope::{Outcome, Rejection, Success};
use super::page::Page;
use super::request::ReceivedRequest;
use super::settings::{Behavior, LongNotes};
use super::store::Store;
use super::token::{ENABLED, NewToken, OwnedToken, StoredToken, TokenType};
use super::user::User;

/// A resource, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Users,
    AllTokens,
    TokensOf(u32),
    Token(u32, u32),
    AuditLog,
    CompanySetting,
    Unknown,
}

impl Route {
    /// Parses a path after `/santaba/rest`.
    pub(super) fn parse(resource_path: &str) -> Self {
        match resource_path {
            "/setting/accesslogs" => return Self::AuditLog,
            "/setting/companySetting" => return Self::CompanySetting,
            _ => {}
        }
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

    /// Returns the endpoint; requests to one endpoint share a rate limit per method.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::Users => "/setting/admins",
            Self::AllTokens => "/setting/admins/apitokens",
            Self::TokensOf(_) => "/setting/admins/{adminId}/apitokens",
            Self::Token(..) => "/setting/admins/{adminId}/apitokens/{apitokenId}",
            Self::AuditLog => "/setting/accesslogs",
            Self::CompanySetting => "/setting/companySetting",
            Self::Unknown => "",
        }
    }
}

/// Parses an id: digits only, 31 bits.
fn id(segment: &str) -> Option<u32> {
    let digits = segment.bytes().all(|byte| byte.is_ascii_digit());
    segment.parse().ok().filter(|id| digits && i32::try_from(*id).is_ok())
}

/// Carries out an authenticated request of `caller`.
pub(super) fn respond(store: &mut Store, request: &ReceivedRequest, route: Route, caller: u32) -> Outcome {
    let Some(caller) = store.users.get(&caller).cloned() else {
        return Err(Rejection::permission("The user of this token does not exist"));
    };
    match (&request.method, route) {
        (&Method::GET, Route::Users) => list_users(store, request, &caller),
        (&Method::GET, Route::AllTokens) => list_tokens(store, request, &caller, None),
        (&Method::GET, Route::TokensOf(admin)) => list_tokens(store, request, &caller, Some(admin)),
        (&Method::GET, Route::AuditLog) => {
            let page = Page::parse::<AuditEntry>(request)?;
            page.respond(store.audit_log.entries(), |entry| *entry, store.behavior.negative_totals)
        }
        (&Method::GET, Route::CompanySetting) => company_setting(&store.behavior),
        (&Method::POST, Route::TokensOf(admin)) => create(store, request, &caller, admin),
        (&Method::PATCH, Route::Token(admin, token)) => change(store, request, &caller, admin, token),
        (&Method::PUT, Route::Token(admin, token)) => replace(store, request, &caller, admin, token),
        (&Method::DELETE, Route::Token(admin, token)) => delete(store, &caller, admin, token),
        _ => Err(Rejection::not_found("No such resource")),
    }
}

fn list_users(store: &Store, request: &ReceivedRequest, caller: &User) -> Outcome {
    let page = Page::parse::<User>(request)?;
    let tokens = store.listed_tokens();
    let show = |user: &&User| {
        let visible = |token: &&StoredToken| {
            caller.may_view && token.admin_id == user.id && token.r#type == TokenType::Lmv1
        };
        user_json(user, &tokens.values().filter(visible).collect::<Vec<_>>(), caller)
    };
    page.respond(store.users.values(), show, store.behavior.negative_totals)
}

fn list_tokens(store: &Store, request: &ReceivedRequest, caller: &User, owner: Option<u32>) -> Outcome {
    let listed_type = token_type(request)?;
    let page = Page::parse::<OwnedToken<'_>>(request)?;
    if owner.is_some_and(|owner| !store.users.contains_key(&owner)) {
        return Err(no_such_user());
    }
    let listed = |token: &&StoredToken| {
        caller.may_view && token.r#type == listed_type && owner.is_none_or(|owner| owner == token.admin_id)
    };
    let tokens = store.listed_tokens();
    let tokens = tokens
        .values()
        .filter(listed)
        .map(|token| OwnedToken { token, owner: store.users.get(&token.admin_id) });
    page.respond(tokens, |item| item.token.without_secret(item.owner, caller), store.behavior.negative_totals)
}

fn create(store: &mut Store, request: &ReceivedRequest, caller: &User, admin: u32) -> Outcome {
    if !caller.may_create {
        return Err(Rejection::permission("No permission to create API tokens"));
    }
    let Some(owner) = store.users.get(&admin).cloned() else {
        return Err(no_such_user());
    };
    let r#type = token_type(request)?;
    let body = TokenBody::parse(request.body(), &store.behavior)?;
    let new = NewToken {
        admin_id: admin,
        note: body.note.unwrap_or_default(),
        status: body.status.unwrap_or(ENABLED),
        r#type,
        ..NewToken::default()
    };
    let token =
        store.create(new, &caller.username).map_err(|cause| Rejection::internal(cause.to_string()))?;
    store.count_email(r#type);
    Success::new(&token.with_secret(Some(&owner), caller), true)
}

fn change(store: &mut Store, request: &ReceivedRequest, caller: &User, admin: u32, token: u32) -> Outcome {
    let token = manageable(store, caller, admin, token)?;
    let body = TokenBody::parse(request.body(), &store.behavior)?;
    write(store, caller, token, body)
}

/// Unlike PATCH, PUT resets members that are missing in the body: the note to empty, the status to enabled.
fn replace(store: &mut Store, request: &ReceivedRequest, caller: &User, admin: u32, token: u32) -> Outcome {
    let token = manageable(store, caller, admin, token)?;
    let body = TokenBody::parse(request.body(), &store.behavior)?;
    let whole =
        TokenBody { note: Some(body.note.unwrap_or_default()), status: Some(body.status.unwrap_or(ENABLED)) };
    write(store, caller, token, whole)
}

fn write(store: &mut Store, caller: &User, id: u32, body: TokenBody) -> Outcome {
    let now = store.clock.instant();
    let changed = store.change(id, |token| {
        let note = body.note.unwrap_or_else(|| token.note.clone());
        let status = body.status.unwrap_or(token.status);
        let applied = token.note != note || token.status != status;
        token.note = note;
        token.set_status(status, now);
        (token.clone(), applied)
    });
    let (token, applied) = changed.ok_or_else(no_such_token)?;
    if applied {
        store.count_email(token.r#type);
    }
    let mut shown = BTreeMap::from([(id, token)]);
    store.hide_recent_uses(&mut shown);
    let token = shown.get(&id).ok_or_else(no_such_token)?;
    Success::new(&token.without_secret(store.users.get(&token.admin_id), caller), applied)
}

fn delete(store: &mut Store, caller: &User, admin: u32, token: u32) -> Outcome {
    let token = manageable(store, caller, admin, token)?;
    store.remove(token);
    Ok(Success { body: b"{}\r\n".to_vec(), applied: true })
}

/// Returns the token's id if the token belongs to the user and the caller may change it.
fn manageable(store: &Store, caller: &User, admin: u32, token: u32) -> Result<u32, Rejection> {
    if !caller.may_manage {
        return Err(Rejection::permission("No permission to manage API tokens"));
    }
    match store.token(token) {
        Some(token) if token.admin_id == admin => Ok(token.id),
        _ => Err(no_such_token()),
    }
}

fn no_such_user() -> Rejection {
    Rejection::not_found("No such user")
}

fn no_such_token() -> Rejection {
    Rejection::not_found("No such API token")
}

/// Parses the query parameter `type`: `bearer`, or absent for LMv1, for which older clients send "API Token".
fn token_type(request: &ReceivedRequest) -> Result<TokenType, Rejection> {
    match request.parameter("type").as_deref() {
        None | Some("" | "API Token") => Ok(TokenType::Lmv1),
        Some("bearer") => Ok(TokenType::Bearer),
        Some(other) => {
            Err(Rejection::bad_request(format!("Invalid value for query parameter type: {other}")))
        }
    }
}

/// The writable members of a token; other members of a body are ignored.
#[derive(Debug)]
struct TokenBody {
    note: Option<String>,
    status: Option<i64>,
}

impl TokenBody {
    fn parse(body: &[u8], behavior: &Behavior) -> Result<Self, Rejection> {
        let members: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| Rejection::bad_request("The request body must be a JSON object"))?;
        let note = match members.get("note") {
            None | Some(Value::Null) => None,
            Some(Value::String(note)) => Some(accepted_note(note, behavior)?.to_owned()),
            Some(other) => return Err(wrong_type("java.lang.String", other)),
        };
        let status = match members.get("status") {
            None | Some(Value::Null) => None,
            Some(Value::Number(number)) => match number.as_i64() {
                Some(status @ 1..=ENABLED) => Some(status),
                _ => return Err(Rejection::bad_request(format!("Invalid status: {number}"))),
            },
            Some(other) => return Err(wrong_type("java.lang.Integer", other)),
        };
        Ok(Self { note, status })
    }
}

/// Returns the part of a note that the portal stores.
fn accepted_note<'a>(note: &'a str, behavior: &Behavior) -> Result<&'a str, Rejection> {
    let limit = behavior.note_limit.and_then(|limit| usize::try_from(limit).ok());
    let Some((end, _)) = limit.and_then(|limit| note.char_indices().nth(limit)) else {
        return Ok(note);
    };
    match behavior.long_notes {
        LongNotes::Cut => Ok(note.split_at(end).0),
        LongNotes::Reject => Err(Rejection::bad_request("The note is too long")),
    }
}

/// Returns the settings of the account that concern tokens; the real portal has more.
fn company_setting(behavior: &Behavior) -> Outcome {
    let settings = json!({
        "tokenDisabledDays": behavior.token_disabled_days,
        "userSuspendDays": behavior.user_suspend_days,
        "timestampWindowOfApiUsersInSec": behavior.timestamp_window,
        "enableUserDetailsEmailNotification": behavior.email_notifications,
    });
    Success::new(&settings, false)
}

/// Returns the error of the real portal's JSON library (Jackson), which the portal passes on.
fn wrong_type(expected: &str, found: &Value) -> Rejection {
    Rejection::bad_request(match found {
        Value::String(text) => {
            let text = Value::from(text.as_str());
            format!("Cannot deserialize value of type `{expected}` from String {text}: not a valid value")
        }
        Value::Array(_) => {
            format!(
                "Cannot deserialize value of type `{expected}` from Array value (token `JsonToken.START_ARRAY`)"
            )
        }
        Value::Object(_) => {
            format!(
                "Cannot deserialize value of type `{expected}` from Object value (token `JsonToken.START_OBJECT`)"
            )
        }
        Value::Bool(_) => {
            format!(
                "Cannot deserialize value of type `{expected}` from Boolean value (token `JsonToken.VALUE_TRUE`)"
            )
        }
        Value::Number(_) | Value::Null => {
            format!("Cannot deserialize value of type `{expected}` from Number value")
        }
    })
}

/// Returns a user in the portal's JSON, with the given tokens.
fn user_json(user: &User, tokens: &[&StoredToken], caller: &User) -> Value {
    let tokens: Vec<_> = tokens.iter().map(|token| token.without_secret(Some(user), caller)).collect();
    let roles: Vec<_> = user.roles.iter().map(|name| json!({ "name": name })).collect();
    json!({
        "id": user.id,
        "username": user.username,
        "email": format!("{}@example.invalid", user.username),
        "roles": roles,
        "status": "active",
        "apionly": user.apionly,
        "apiTokens": tokens,
        "note": "",
    })
}
