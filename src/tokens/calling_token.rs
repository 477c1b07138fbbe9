//! Looking the calling token up with one request.

use super::list::Page;
use super::target::is_self;
use crate::client::{Client, Method, Request};
use crate::credentials::Credentials;
use crate::error::Result;
use crate::ids::Type;
use crate::model::{RateHeaders, Token};
use crate::operation::Operation;

/// Reads the first page of the tokens that may be the calling one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallingToken;

/// What one request shows.
#[derive(Debug, Clone)]
pub(crate) struct FirstPage {
    /// The calling token, if the page shows it.
    pub(crate) own: Option<Token>,
    /// Whether the page shows tokens of others too, among which the calling one may be on a later page.
    pub(crate) has_others: bool,
    /// Whether the page has items that are not tokens.
    pub(crate) has_unreadable: bool,
    /// The rate limit, as the response headers give it.
    pub(crate) rate: Option<RateHeaders>,
}

impl Operation for CallingToken {
    type Output = FirstPage;

    async fn run(self, client: &Client) -> Result<FirstPage> {
        let mut query = vec![("size", "250".to_owned())];
        let r#type = match client.credentials().await? {
            Credentials::Lmv1 { access_id, .. } => {
                query.push(("filter", format!("accessId:\"{access_id}\"")));
                Type::Lmv1
            }
            Credentials::Bearer { .. } => Type::Bearer,
        };
        query.extend(r#type.query_value().map(|value| ("type", value.to_owned())));
        let endpoint = "/setting/admins/apitokens";
        let request =
            Request { method: Method::Get, endpoint, resource_path: endpoint.to_owned(), query, body: None };
        let response = client.send(&request).await?;
        let Page { tokens, unreadable, .. } = Page::read(&response.body, r#type)?;
        let has_others = r#type == Type::Bearer && !tokens.is_empty();
        let has_unreadable = unreadable.count > 0;
        let own = tokens.into_iter().find(|token| is_self(client, token) == Some(true));
        let own = own.map(|own| own.at(&client.identity().portal));
        Ok(FirstPage { own, has_others, has_unreadable, rate: response.rate })
    }
}
