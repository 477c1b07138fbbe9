//! Who we are at the portal, as far as that can be known.

use super::list::{ListTokens, Types, Wanted};
use super::target::is_self;
use crate::client::Client;
use crate::credentials::{Credentials, Identity};
use crate::error::{ErrorKind, Result};
use crate::filter::{Condition, Field, Filter, Operator, Value};
use crate::model::Token;

/// What is known of the credentials that call.
#[derive(Debug, Clone)]
pub struct Whoami {
    /// The portal, the kind of credentials, and which source gave each.
    pub identity: Identity,
    /// The token that calls, with its owner; `None` where it cannot be seen.
    pub token: Option<Token>,
    /// Why it cannot be seen.
    pub limitation: Option<String>,
}

/// Looks the calling token up. That the credentials may not view tokens is no error; that they are wrong is one.
pub async fn whoami(client: &Client) -> Result<Whoami> {
    let identity = client.identity().clone();
    let verb = match &identity.credentials {
        Credentials::Lmv1 { access_id, .. } => {
            let condition = Condition::new(Field::AccessId, Operator::Equal, Value::Text(access_id.clone()))?;
            ListTokens {
                types: Types::Lmv1,
                wanted: Wanted::Filter(Filter::from(condition)),
                ..ListTokens::default()
            }
        }
        Credentials::Bearer { .. } => ListTokens { types: Types::Bearer, ..ListTokens::default() },
    };
    let mut listing = verb.start()?;
    loop {
        match listing.next_page(client).await {
            Ok(Some(page)) => {
                if let Some(token) = page.into_iter().find(|token| is_self(client, token)) {
                    return Ok(Whoami { identity, token: Some(token), limitation: None });
                }
            }
            Ok(None) => {
                let limitation = "the credentials are good, and see no token of their own: their user's role may not view \
                                  API tokens";
                return Ok(Whoami { identity, token: None, limitation: Some(limitation.to_owned()) });
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let limitation = format!("the credentials are good, and may not list tokens: {error}");
                return Ok(Whoami { identity, token: None, limitation: Some(limitation) });
            }
            Err(error) => return Err(error),
        }
    }
}
