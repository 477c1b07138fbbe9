//! Reporting the calling credentials.

use std::sync::Arc;

use serde_json::json;

use super::list::{ListTokens, Selection};
use super::target::is_self;
use crate::client::Client;
use crate::credentials::{Credentials, Identity};
use crate::error::{ErrorKind, Result};
use crate::filter::{Condition, Field, Filter, Operator, Value};
use crate::ids::Type;
use crate::model::{Token, TokenStatus, iso_8601};
use crate::operation::Operation;
use crate::token_output::Members;

/// Looks the calling token up. Credentials that cannot view tokens are not an error; rejected ones are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Whoami;

/// The calling credentials, as far as they can be known.
#[derive(Debug, Clone)]
pub(crate) struct WhoamiReport {
    /// The portal, the kind of credentials, and the source of each.
    pub identity: Arc<Identity>,
    /// The calling token, with its owner; `None` if it is not visible.
    pub token: Option<Token>,
    /// Why it is not visible.
    pub limitation: Option<String>,
}

impl WhoamiReport {
    /// Returns the members by the names that they have in Python and in the output of the shell.
    pub(crate) fn members(&self) -> Members {
        let Self { identity, token, limitation } = self;
        let token = token.as_ref();
        Members(vec![
            ("base_url", json!(identity.portal.base_url())),
            ("company", json!(identity.portal.company())),
            ("portal_from", json!(identity.portal_from.to_string())),
            ("overridden_arguments", json!(identity.overridden)),
            ("credentials", json!(identity.kind())),
            ("access_id", json!(identity.credentials.as_ref().and_then(Credentials::access_id))),
            ("credentials_from", json!(identity.credentials_from.to_string())),
            ("ignored_sources", json!(identity.ignored_sources)),
            ("token_id", json!(token.map(|token| token.id))),
            ("status", json!(token.and_then(|token| token.status).map(TokenStatus::number))),
            ("note", json!(token.and_then(|token| token.note.as_ref()))),
            ("expires", json!(token.and_then(Token::expires_on).map(iso_8601))),
            ("admin_id", json!(token.and_then(|token| token.admin_id))),
            ("admin_name", json!(token.and_then(|token| token.admin_name.as_ref()))),
            ("roles", json!(token.map(|token| &token.roles))),
            ("user_permission", json!(token.and_then(|token| token.user_permission.as_ref()))),
            ("limitation", json!(limitation)),
        ])
    }
}

impl Operation for Whoami {
    type Output = WhoamiReport;

    async fn run(self, client: &Client) -> Result<WhoamiReport> {
        let credentials = client.credentials().await?;
        let report = look_up(client, &credentials).await?;
        let is_of_others = report.identity.credentials.as_ref() != Some(&credentials);
        if report.token.is_none() && is_of_others {
            // The portal refused the credentials, and others were supplied: the list was filtered for the token before.
            return look_up(client, &client.credentials().await?).await;
        }
        Ok(report)
    }
}

async fn look_up(client: &Client, credentials: &Credentials) -> Result<WhoamiReport> {
    let list = match credentials {
        Credentials::Lmv1 { access_id, .. } => {
            let condition = Condition::new(Field::AccessId, Operator::Equal, Value::Text(access_id.clone()))?;
            ListTokens {
                r#type: Some(Type::Lmv1),
                selection: Selection::Filter(Filter::from(condition)),
                ..ListTokens::default()
            }
        }
        Credentials::Bearer { .. } => ListTokens { r#type: Some(Type::Bearer), ..ListTokens::default() },
    };
    let mut listing = list.start();
    let mut is_hidden = false;
    let limitation = loop {
        match listing.next_page(client).await {
            Ok(Some(page)) => {
                is_hidden |= page.iter().any(|token| is_self(client, token).is_none());
                if let Some(token) = page.into_iter().find(|token| is_self(client, token) == Some(true)) {
                    return Ok(WhoamiReport {
                        identity: client.identity(),
                        token: Some(token),
                        limitation: None,
                    });
                }
            }
            Ok(None) if is_hidden => {
                break "the credentials are valid, but the portal does not show what tells their own token from others"
                        .to_owned();
            }
            Ok(None) => {
                break "the credentials are valid, but their own token is not visible: the user's role lacks the \
                           permission to view API tokens"
                        .to_owned();
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                break format!("the credentials are valid, but cannot list tokens: {error}");
            }
            Err(error) => return Err(error),
        }
    };
    Ok(WhoamiReport { identity: client.identity(), token: None, limitation: Some(limitation) })
}
