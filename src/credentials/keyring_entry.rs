//! An entry of the keyring: the credentials of a profile, as JSON.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Credentials;
use crate::model::{Token, TokenType};
use crate::secret::Secret;

/// The credentials of a profile and their portal. A secret that the user stored by hand may be an entry by itself.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeyringEntry {
    /// The base URL of the portal: no other one gets the credentials.
    pub(crate) base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bearer_token: Option<Zeroizing<String>>,
}

impl KeyringEntry {
    /// Returns the entry of an access id and an access key, or of a bearer token, which has no access id.
    fn new(base_url: Option<&str>, access_id: Option<&str>, secret: &str) -> Self {
        let secret = Some(Zeroizing::new(secret.to_owned()));
        let (access_key, bearer_token) = if access_id.is_some() { (secret, None) } else { (None, secret) };
        let (base_url, access_id) = (base_url.map(str::to_owned), access_id.map(str::to_owned));
        Self { base_url, access_id, access_key, bearer_token }
    }

    /// Returns the entry of credentials.
    pub(crate) fn of_credentials(base_url: Option<&str>, credentials: &Credentials) -> Self {
        Self::new(base_url, credentials.access_id(), credentials.secret().reveal())
    }

    /// Returns the entry of a token.
    pub(crate) fn of_token(base_url: &str, token: &Token) -> Self {
        let secret = token.access_key.as_ref().map(Secret::reveal).unwrap_or_default();
        let access_id = token.access_id.as_deref().filter(|_| token.r#type != TokenType::Bearer);
        Self::new(Some(base_url), access_id, secret)
    }

    /// Reads an entry; `None` if it is a secret by itself.
    pub(crate) fn read(text: &Secret) -> Option<Self> {
        serde_json::from_str(text.reveal()).ok()
    }

    /// Returns whether it is the entry of a token.
    pub(crate) fn is_of(&self, token: &Token) -> bool {
        if token.r#type == TokenType::Bearer {
            let own = self.bearer_token.as_deref().map(|token| Secret::new(token.clone()));
            own.is_some() && own == token.access_key
        } else {
            self.access_id.is_some() && self.access_id == token.access_id
        }
    }

    /// Returns the text to store.
    pub(crate) fn write(&self) -> serde_json::Result<Secret> {
        serde_json::to_string(self).map(Secret::new)
    }
}
