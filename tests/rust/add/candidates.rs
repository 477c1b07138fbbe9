//! The search for candidates after a lost response: which tokens it reports, and which it does not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lmtokens::testing::client::Client;
use lmtokens::testing::credentials::Credentials;
use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::ids::Type;
use lmtokens::testing::model::TokenType;

use lmtokens::testing::operation::Operation as _;
use lmtokens::testing::sandbox::{Fault, FaultKind, NewToken, NewUser, Settings, TokenType as StoredType};
use lmtokens::testing::tokens;

use super::{Fixture, add, advice, assert_outcome_unknown, candidate_ids, operation};
use crate::support::{HANG_TIMEOUT, identity};

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn noted(note: &str) -> NewToken {
    NewToken { note: note.to_owned(), ..NewToken::default() }
}

#[tokio::test]
async fn similar_tokens_are_not_candidates() {
    let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
    fixture.store_token(NewToken { created_on: Some(now() - 3600), ..noted("ci") });
    fixture.store_token(NewToken { created_on: Some(1), ..noted("ci") });
    fixture.store_token(NewToken { admin_id: 33, ..noted("ci") });
    fixture.store_token(NewToken { admin_id: 1, ..noted("ci") });
    fixture.store_token(noted(""));
    fixture.store_token(noted("ci2"));
    fixture.store_token(noted("CI"));
    fixture.store_token(NewToken { last_used_on: now(), ..noted("ci") });
    fixture.store_token(NewToken { r#type: StoredType::Bearer, ..noted("ci") });
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Transport, None);
    let lost = i64::from(fixture.created_tokens().last().unwrap().id);
    assert_eq!(candidate_ids(&error), Some(vec![lost]));
    assert!(advice(&error).contains(&lost.to_string()), "{}", advice(&error));
}

/// One candidate too many is better than one that is missing.
#[tokio::test]
async fn a_token_without_a_creation_time_is_a_candidate() {
    let fixture = Fixture::with_post_fault(FaultKind::CloseBeforeActing);
    let timeless = fixture.store_token(NewToken { created_on: Some(0), ..noted("ci") });
    let error = fixture.add().await.unwrap_err();
    assert_eq!(candidate_ids(&error), Some(vec![timeless]));
}

#[tokio::test]
async fn the_lost_token_is_found_beyond_the_first_page() {
    let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
    for number in 0..1100 {
        fixture.store_token(NewToken { created_on: Some(1), ..noted(&format!("other {number}")) });
    }
    let error = fixture.add().await.unwrap_err();
    assert_eq!(candidate_ids(&error), Some(vec![fixture.created_tokens().last().unwrap().id.into()]));
}

#[tokio::test]
async fn every_candidate_is_reported() {
    let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
    let other = fixture.store_token(noted("ci"));
    let error = fixture.add().await.unwrap_err();
    let mut found = candidate_ids(&error).unwrap();
    found.sort_unstable();
    assert_eq!(found, [other, fixture.created_tokens().last().unwrap().id.into()]);
    assert!(advice(&error).contains(&other.to_string()), "{}", advice(&error));
}

#[tokio::test]
async fn a_token_without_a_note_is_found() {
    let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
    fixture.store_token(noted("other"));
    let error = fixture.run(tokens::NewToken { note: None, ..add("") }).await.unwrap_err();
    assert_eq!(candidate_ids(&error), Some(vec![fixture.created_tokens().last().unwrap().id.into()]));
}

#[tokio::test]
async fn a_bearer_token_is_searched_among_bearer_tokens() {
    let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
    fixture.store_token(noted("ci"));
    let error = fixture.run(tokens::NewToken { r#type: Type::Bearer, ..add("ci") }).await.unwrap_err();
    assert_eq!(candidate_ids(&error), Some(vec![fixture.created_tokens().last().unwrap().id.into()]));
    assert_eq!(error.details().candidates.as_ref().unwrap()[0].r#type, TokenType::Bearer);
}

/// The age of a token is measured by the portal's clock.
#[tokio::test]
async fn the_lost_token_is_found_if_the_portals_clock_is_off() {
    for offset in [-1200, 1200] {
        let settings = Settings { clock_offset_seconds: offset, ..Settings::default() };
        let fixture = Fixture::with(settings);
        fixture.add_post_fault(FaultKind::ActThenClose);
        fixture.store_token(NewToken { created_on: Some(now() + offset - 600), ..noted("ci") });
        let error = fixture.add().await.unwrap_err();
        assert_eq!(
            candidate_ids(&error),
            Some(vec![fixture.created_tokens().last().unwrap().id.into()]),
            "{offset}"
        );
    }
}

#[tokio::test]
async fn a_failed_search_differs_from_an_empty_result() {
    let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
    fixture.fail_every_get();
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Transport, None);
    assert_eq!(candidate_ids(&error), None);
    assert!(advice(&error).contains("failed too"), "{}", advice(&error));
    assert_eq!(fixture.posts().len(), 1);

    let fixture = Fixture::with_post_fault(FaultKind::CloseBeforeActing);
    let error = fixture.add().await.unwrap_err();
    assert_eq!(candidate_ids(&error), Some(Vec::new()));
    assert!(advice(&error).contains("in progress"), "{}", advice(&error));
}

#[tokio::test]
async fn a_search_with_an_invalid_response_has_failed() {
    for kind in [
        FaultKind::WrongShape,
        FaultKind::Garbage,
        FaultKind::Empty,
        FaultKind::ErrorIn200,
        FaultKind::RateLimited,
    ] {
        let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
        fixture.portal.add_fault(Fault { method: Some("GET".to_owned()), ..kind.into() }).unwrap();
        let error = fixture.add().await.unwrap_err();
        assert_outcome_unknown(&fixture, &error, ErrorKind::Transport, None);
        assert_eq!(candidate_ids(&error), None, "{kind:?}");
        assert_eq!(fixture.posts().len(), 1);
    }
}

/// The portal sends such credentials an empty list instead of an error.
#[tokio::test]
async fn credentials_without_view_permission_find_nothing_and_learn_why() {
    let fixture = Fixture::start();
    let admin_id = fixture.portal.add_user(NewUser { may_view: false, ..NewUser::default() });
    let token = fixture.portal.create_token(NewToken { admin_id, ..NewToken::default() }).unwrap();
    let credentials = Credentials::from_pair(Some(&token.access_id), token.access_key).unwrap();
    let client = Client::new(identity(&fixture.portal.base_url(), credentials), None);
    let fixture = Fixture { client, ..fixture };
    fixture.add_post_fault(FaultKind::ActThenClose);
    let error = fixture.add().await.unwrap_err();
    assert_outcome_unknown(&fixture, &error, ErrorKind::Transport, None);
    assert_eq!(candidate_ids(&error), Some(Vec::new()));
    assert!(advice(&error).contains("cannot view"), "{}", advice(&error));
}

#[tokio::test]
async fn a_search_that_hangs_times_out() {
    let fixture = Fixture::with_post_fault(FaultKind::ActThenClose);
    let slow = Fault {
        method: Some("GET".to_owned()),
        times: None,
        seconds: Some(3600.0),
        ..FaultKind::Delay.into()
    };
    fixture.portal.add_fault(slow).unwrap();
    let timeouts = lmtokens::testing::credentials::Timeouts {
        connect: Duration::from_millis(250),
        total: Duration::from_millis(300),
    };
    let identity =
        lmtokens::testing::credentials::Identity { timeouts, ..(*fixture.client.identity()).clone() };
    let client = Client::new(identity, None);
    let error = tokio::time::timeout(HANG_TIMEOUT, operation(add("ci")).run(&client))
        .await
        .expect("the call hangs")
        .unwrap_err();
    assert_eq!((error.kind(), candidate_ids(&error)), (ErrorKind::OutcomeUnknown, None));
}
