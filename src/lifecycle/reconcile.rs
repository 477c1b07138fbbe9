//! Finding out, at the portal, what became of an attempt whose answer was lost.

use crate::client::{Client, Policy};
use crate::error::{ErrorKind, Result};
use crate::model::{Token, TokenType};
use crate::ports::SystemRandom;
use crate::tag::Tag;
use crate::tokens::{Admin, DeleteToken, FindToken, ListTokens, Target, Types};

/// What the portal knows of an attempt.
pub(super) enum Found {
    /// What the attempt made was there, and is deleted.
    Cleared,
    /// It made nothing, as far as these credentials see; what lands later is disabled and tagged.
    Nothing,
    /// These credentials may not see what they make: nothing is known.
    NotVisible,
}

/// All tokens of a user, of one type.
pub(super) async fn tokens_of(client: &Client, admin_id: i64, r#type: &TokenType) -> Result<Vec<Token>> {
    let types = if *r#type == TokenType::Bearer { Types::Bearer } else { Types::Lmv1 };
    let verb = ListTokens { admin: Some(Admin::Id(admin_id)), types, ..ListTokens::default() };
    let mut listing = verb.start()?;
    let mut tokens = Vec::new();
    while let Some(page) = listing.next_page(client).await? {
        tokens.extend(page);
    }
    Ok(tokens)
}

/// Deletes what one attempt made, if it is there. The tag is matched here: the portal's note filter is no evidence, since
/// a slip in its escaping reads as "nothing there".
pub(super) async fn clear(client: &Client, admin_id: i64, r#type: &TokenType, tag: &Tag) -> Result<Found> {
    let is_of_attempt =
        |token: &Token| token.note.as_deref().and_then(Tag::parse).is_some_and(|(found, _)| found == *tag);
    let mut found = Found::Nothing;
    for token in tokens_of(client, admin_id, r#type).await?.into_iter().filter(is_of_attempt) {
        // These credentials have been shown what they made.
        client.visibility().record_created(token.id);
        client.visibility().record_listed([token.id]);
        delete(client, token).await?;
        found = Found::Cleared;
    }
    if matches!(found, Found::Nothing) && !sees_own(client).await? {
        return Ok(Found::NotVisible);
    }
    Ok(found)
}

/// Whether an empty list is evidence: whoever may create and not view sees one too.
async fn sees_own(client: &Client) -> Result<bool> {
    if !client.visibility().sees_own()
        && let Some(id) = client.visibility().last_created()
    {
        match (FindToken::Id(id)).run(client).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(client.visibility().sees_own())
}

/// Deletes a token of ours; one that is gone already is as good.
pub(super) async fn delete(client: &Client, token: Token) -> Result<()> {
    const ROUNDS: u32 = 4;
    let mut round = 1;
    loop {
        let verb = DeleteToken { target: Target::Token(Box::new(token.clone())), force: true };
        match verb.run(client).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            // It may be deleted: to ask for that once more does no harm.
            Err(error) if error.details().maybe_applied && round < ROUNDS => {
                tokio::time::sleep(Policy::default().pause(round, &SystemRandom)).await;
                round += 1;
            }
            outcome => return outcome,
        }
    }
}
