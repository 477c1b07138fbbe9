//! Reading tokens.
//!
//! Source: the vendor's page "Getting API Token Details".

use std::time::SystemTime;

use serde_json::Value;

use crate::client::{Client, Method, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Answer, Token, TokenType};

/// The newest tokens of one user, in one request, and the portal's clock.
pub async fn newest_of_owner(
    client: &Client,
    admin_id: i64,
    r#type: &TokenType,
) -> Result<(Vec<Token>, Option<SystemTime>)> {
    /// The most that the portal gives in one page.
    const PAGE_SIZE: &str = "1000";
    let mut query = vec![("size", PAGE_SIZE.to_owned()), ("sort", "-id".to_owned())];
    if let Some(value) = r#type.query_value() {
        query.push(("type", value.to_owned()));
    }
    let request = Request {
        method: Method::Get,
        endpoint: "/setting/admins/{adminId}/apitokens",
        resource_path: format!("/setting/admins/{admin_id}/apitokens"),
        query,
        body: None,
    };
    let answer = client.send(&request).await?;
    let Some(Value::Array(items)) = answer.body.get("items") else {
        return Err(Error::new(ErrorKind::Response, "the answer holds no list of tokens"));
    };
    let read = |item: &Value| {
        let mut token = Token::from_json(item, Answer::Other, r#type)?;
        token.admin_id = token.admin_id.or(Some(admin_id));
        Some(token)
    };
    Ok((items.iter().filter_map(read).collect(), answer.date))
}
