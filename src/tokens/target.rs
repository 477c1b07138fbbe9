//! The token that a change applies to, and the guard of the calling token.

use super::find::FindToken;
use crate::advice::Advice;
use crate::client::Client;
use crate::credentials::{BEARER_PREFIX, Credentials};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{AdminId, TokenId};
use crate::model::{Token, TokenType};
use crate::operation::Operation;

/// A token as a caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A token that the portal returned.
    Token(Box<Token>),
    /// A token to find.
    Find(FindToken),
}

/// A token and its place at the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) admin_id: AdminId,
    pub(super) id: TokenId,
    /// The token as the portal last reported it.
    pub(super) token: Token,
}

impl Target {
    /// Returns the client whose messages do not repeat the key of the token, if the caller passed it.
    pub(super) fn withholding(&self, client: &Client) -> Client {
        match self {
            Self::Token(token) => client.withholding_secret_of(token),
            Self::Find(_) => client.clone(),
        }
    }

    /// Fails if the token is of another portal than the client's. There, its id is that of another token.
    fn check_portal(&self, client: &Client) -> Result<()> {
        let identity = client.identity();
        let portal = identity.portal.base_url();
        match self {
            Self::Token(token) if token.portal.as_deref().is_some_and(|other| other != portal) => {
                Err(Error::argument(format!(
                    "token {} is of another portal than the client, which calls {portal}; expected a token of this \
                     portal, or an id",
                    token.id
                )))
            }
            _ => Ok(()),
        }
    }

    /// Returns the operation that reads the token from the portal.
    fn find(self, client: &Client) -> Result<FindToken> {
        self.check_portal(client)?;
        match self {
            Self::Token(token) => TokenId::new(token.id).map(FindToken::Id).map_err(Error::of_portal),
            Self::Find(find) => Ok(find),
        }
    }

    /// Without a read, uses the caller's copy of a token of this portal.
    pub(super) async fn locate(self, client: &Client) -> Result<Located> {
        self.check_portal(client)?;
        match self {
            Self::Token(token) if token.admin_id.is_some() && token.portal.is_some() => located(*token),
            other => other.locate_now(client).await,
        }
    }

    /// Reads the token from the portal.
    pub(crate) async fn read(self, client: &Client) -> Result<Token> {
        let given = match &self {
            Self::Token(copy) => copy.access_id.clone(),
            Self::Find(_) => None,
        };
        let token = self.find(client)?.run(client).await?;
        check_access_id(given.as_deref(), &token)?;
        Ok(token)
    }

    /// Returns the token as it is now, whose note decides what a change keeps. If these credentials may not view the
    /// token, the caller's copy is used.
    pub(super) async fn locate_now(self, client: &Client) -> Result<Located> {
        self.check_portal(client)?;
        let copy = match self {
            Self::Token(copy) if copy.admin_id.is_some() => copy,
            other => return located(other.read(client).await?),
        };
        let id = TokenId::new(copy.id).map_err(Error::of_portal)?;
        match FindToken::Id(id).optional(client).await {
            Ok(Some(found)) => {
                check_access_id(copy.access_id.as_deref(), &found)?;
                located(found)
            }
            Ok(None) => located(*copy),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => located(*copy),
            Err(error) => Err(error),
        }
    }

    /// As `locate`, but fails unless the token is surely not the calling one; `change` says what the caller wants to
    /// do. Also returns the client for the change. The portal decides what the token is.
    pub(super) async fn locate_unless_self(self, client: &Client, change: &str) -> Result<(Located, Client)> {
        self.check_portal(client)?;
        let copy = match &self {
            Self::Token(copy) if is_self(client, copy) == Some(true) => return Err(locked_out(copy, change)),
            Self::Token(copy) => Some(copy.clone()),
            Self::Find(_) => None,
        };
        let token = self.find(client)?.run(client).await.map_err(|error| match error.kind() {
            // Credentials that create tokens but cannot view them may know the token from its create.
            ErrorKind::NotFound if copy.is_some() => error.suggest(Advice::Force),
            _ => error,
        })?;
        check_access_id(copy.and_then(|copy| copy.access_id).as_deref(), &token)?;
        let client = refuse_self(client, &token, change)?;
        Ok((located(token)?, client))
    }
}

impl Operation for Target {
    type Output = Token;

    async fn run(self, client: &Client) -> Result<Token> {
        self.read(client).await
    }
}

/// Fails if the portal's token has another access id than the caller's copy.
fn check_access_id(given: Option<&str>, token: &Token) -> Result<()> {
    if given.is_some() && token.access_id.is_some() && given != token.access_id.as_deref() {
        return Err(Error::argument(format!(
            "token {} of this portal has another access id than the given one; expected a token of this portal",
            token.id
        )));
    }
    Ok(())
}

fn located(token: Token) -> Result<Located> {
    let Some(admin_id) = token.admin_id else {
        return Err(Error::new(
            ErrorKind::Response,
            format!("the portal does not name the owner of token {}", token.id),
        ));
    };
    Ok(Located {
        admin_id: AdminId::new(admin_id).map_err(Error::of_portal)?,
        id: TokenId::new(token.id).map_err(Error::of_portal)?,
        token,
    })
}

/// Fails unless the token is surely not the calling one. `token` is as the portal reports it now. Returns the client
/// for the change, which does not replace its credentials: the new ones could be those of the token.
pub(crate) fn refuse_self(client: &Client, token: &Token, change: &str) -> Result<Client> {
    let client = client.with_fixed_credentials();
    match is_self(&client, token) {
        Some(false) => Ok(client),
        Some(true) => Err(locked_out(token, change)),
        None => {
            let hidden = match client.identity().credentials {
                Some(Credentials::Bearer { .. }) => "the beginning of its bearer token",
                _ => "its access id",
            };
            Err(Error::new(
                ErrorKind::SelfLockout,
                format!(
                    "the portal does not show {hidden}, so that token {} may be the one that signs this call: {change} it \
                     could lock this client out",
                    token.id
                ),
            )
            .suggest(Advice::Force))
        }
    }
}

fn locked_out(token: &Token, change: &str) -> Error {
    Error::new(
        ErrorKind::SelfLockout,
        format!("token {} signs this call: {change} it would lock this client out", token.id),
    )
    .suggest(Advice::Force)
}

/// Returns whether a token is the calling one; `None` if its members do not tell.
pub(crate) fn is_self(client: &Client, token: &Token) -> Option<bool> {
    match (client.identity().credentials.as_ref()?, &token.r#type) {
        (Credentials::Lmv1 { access_id, .. }, r#type) => match &token.access_id {
            // The portal may accept another case than it shows. A text with other characters is a mask.
            Some(shown) if !shown.bytes().all(|b| b.is_ascii_alphanumeric()) => None,
            Some(shown) => Some(shown.eq_ignore_ascii_case(access_id)),
            None => (*r#type == TokenType::Bearer).then_some(false),
        },
        (Credentials::Bearer { .. }, TokenType::Lmv1) => Some(false),
        (Credentials::Bearer { token: bearer }, _) => {
            let shown = token.access_key.as_ref().or(token.masked_bearer.as_ref())?;
            is_mask_of(shown.reveal(), bearer.reveal())
        }
    }
}

/// Returns whether a masked text belongs to this bearer token; `None` if too little of it is shown. Lists show at least
/// its first 20 characters, then asterisks.
pub(crate) fn is_mask_of(masked: &str, bearer: &str) -> Option<bool> {
    const CLEAR_CHARACTERS: usize = 20;
    let masked = masked.trim();
    let same =
        masked.bytes().zip(bearer.bytes()).take_while(|(shown, own)| shown.eq_ignore_ascii_case(own)).count();
    if same >= CLEAR_CHARACTERS.min(bearer.len()) {
        return Some(true);
    }
    // A mask in the middle leaves less than the usual beginning clear. One of characters that tokens have must be longer
    // to be told from chance: of 500 random beginnings, one has the same letter three times.
    let is_mask = |part: &[u8]| match part.first() {
        Some(first) if part.iter().any(|b| b != first) => false,
        Some(first) => part.len() > 3 || !(first.is_ascii_alphanumeric() || b"+/=-_".contains(first)),
        None => false,
    };
    if [3, 6].iter().any(|length| masked.as_bytes().windows(*length).take(CLEAR_CHARACTERS).any(is_mask)) {
        return None;
    }
    // The mask is whatever character is repeated at the end.
    let clear = masked.trim_end_matches(|c| masked.ends_with(c));
    let is_clear = |c: char| c.is_ascii_alphanumeric() || "_-+/=.".contains(c);
    let length = clear.chars().take_while(|c| is_clear(*c)).count();
    (length >= CLEAR_CHARACTERS && clear.starts_with(BEARER_PREFIX)).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::is_mask_of;
    use crate::credentials::random_text::{MANY, RandomText, bearer_characters};

    #[test]
    fn random_bearer_tokens_are_told_from_each_other() {
        let (mut random, characters) = (RandomText(1), bearer_characters());
        for number in 0..MANY {
            let mut bearer = || "lmb_".to_owned() + &random.next(&characters, 116);
            let (own, other) = (bearer(), bearer());
            let masked = |token: &str| token[..20 + number % 40].to_owned() + &"*".repeat(60);
            assert_eq!(is_mask_of(&masked(&own), &own), Some(true), "{own}");
            assert_eq!(is_mask_of(&masked(&other), &own), Some(false), "{other}");
        }
    }
}
