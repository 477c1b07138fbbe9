//! The one look at the portal after an answer was lost: what it takes for the lost token, and what not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lmtokens::client::Client;
use lmtokens::credentials::Credentials;
use lmtokens::error::ErrorKind;
use lmtokens::model::TokenType;
use lmtokens::model::Type;
use lmtokens::operation::Operation as _;
use lmtokens::sandbox::{Fault, FaultKind, NewToken, NewUser, Settings, TokenType as StoredType};
use lmtokens::tokens;

use super::{Setting, add, advice, assert_unknown, candidates, operation};
use crate::support::{HANGING, identity};

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn noted(note: &str) -> NewToken {
    NewToken { note: note.to_owned(), ..NewToken::default() }
}

#[tokio::test]
async fn the_lost_token_is_told_from_those_that_look_like_it() {
    let setting = Setting::struck(FaultKind::ActThenClose);
    setting.put(NewToken { created_on: Some(now() - 3600), ..noted("ci") });
    setting.put(NewToken { created_on: Some(1), ..noted("ci") });
    setting.put(NewToken { admin_id: 33, ..noted("ci") });
    setting.put(NewToken { admin_id: 1, ..noted("ci") });
    setting.put(noted(""));
    setting.put(noted("ci2"));
    setting.put(noted("CI"));
    setting.put(NewToken { last_used_on: now(), ..noted("ci") });
    setting.put(NewToken { r#type: StoredType::Bearer, ..noted("ci") });
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Transport, None);
    let lost = i64::from(setting.made().last().unwrap().id);
    assert_eq!(candidates(&error), Some(vec![lost]));
    assert!(advice(&error).contains(&lost.to_string()), "{}", advice(&error));
}

/// Rather one too many to look at than the right one left out.
#[tokio::test]
async fn a_token_whose_age_is_not_told_may_be_it() {
    let setting = Setting::struck(FaultKind::CloseBeforeActing);
    let timeless = setting.put(NewToken { created_on: Some(0), ..noted("ci") });
    let error = setting.add().await.unwrap_err();
    assert_eq!(candidates(&error), Some(vec![timeless]));
}

#[tokio::test]
async fn the_lost_token_is_found_behind_a_page_of_others() {
    let setting = Setting::struck(FaultKind::ActThenClose);
    for number in 0..1100 {
        setting.put(NewToken { created_on: Some(1), ..noted(&format!("other {number}")) });
    }
    let error = setting.add().await.unwrap_err();
    assert_eq!(candidates(&error), Some(vec![setting.made().last().unwrap().id.into()]));
}

#[tokio::test]
async fn two_that_may_be_it_are_both_told() {
    let setting = Setting::struck(FaultKind::ActThenClose);
    let twin = setting.put(noted("ci"));
    let error = setting.add().await.unwrap_err();
    let mut found = candidates(&error).unwrap();
    found.sort_unstable();
    assert_eq!(found, [twin, setting.made().last().unwrap().id.into()]);
    assert!(advice(&error).contains(&twin.to_string()), "{}", advice(&error));
}

#[tokio::test]
async fn a_token_without_a_note_is_found() {
    let setting = Setting::struck(FaultKind::ActThenClose);
    setting.put(noted("other"));
    let error = setting.run(tokens::NewToken { note: None, ..add("") }).await.unwrap_err();
    assert_eq!(candidates(&error), Some(vec![setting.made().last().unwrap().id.into()]));
}

#[tokio::test]
async fn a_bearer_is_looked_for_among_bearers() {
    let setting = Setting::struck(FaultKind::ActThenClose);
    setting.put(noted("ci"));
    let error = setting.run(tokens::NewToken { r#type: Type::Bearer, ..add("ci") }).await.unwrap_err();
    assert_eq!(candidates(&error), Some(vec![setting.made().last().unwrap().id.into()]));
    assert_eq!(error.details().candidates.as_ref().unwrap()[0].r#type, TokenType::Bearer);
}

/// The portal's clock says what is young, not this machine's.
#[tokio::test]
async fn a_portal_whose_clock_is_off_finds_it_all_the_same() {
    for offset in [-1200, 1200] {
        let settings = Settings { clock_offset_seconds: offset, ..Settings::default() };
        let setting = Setting::with(settings);
        setting.strike(FaultKind::ActThenClose);
        setting.put(NewToken { created_on: Some(now() + offset - 600), ..noted("ci") });
        let error = setting.add().await.unwrap_err();
        assert_eq!(candidates(&error), Some(vec![setting.made().last().unwrap().id.into()]), "{offset}");
    }
}

#[tokio::test]
async fn a_look_that_fails_too_is_told_from_one_that_finds_nothing() {
    let setting = Setting::struck(FaultKind::ActThenClose);
    setting.blind();
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Transport, None);
    assert_eq!(candidates(&error), None);
    assert!(advice(&error).contains("failed too"), "{}", advice(&error));
    assert_eq!(setting.posts().len(), 1);

    let setting = Setting::struck(FaultKind::CloseBeforeActing);
    let error = setting.add().await.unwrap_err();
    assert_eq!(candidates(&error), Some(Vec::new()));
    assert!(advice(&error).contains("in progress"), "{}", advice(&error));
}

#[tokio::test]
async fn a_look_that_is_answered_with_something_else_has_failed() {
    for kind in [
        FaultKind::WrongShape,
        FaultKind::Garbage,
        FaultKind::Empty,
        FaultKind::ErrorIn200,
        FaultKind::RateLimited,
    ] {
        let setting = Setting::struck(FaultKind::ActThenClose);
        setting.portal.add_fault(Fault { method: Some("GET".to_owned()), ..kind.into() }).unwrap();
        let error = setting.add().await.unwrap_err();
        assert_unknown(&setting, &error, ErrorKind::Transport, None);
        assert_eq!(candidates(&error), None, "{kind:?}");
        assert_eq!(setting.posts().len(), 1);
    }
}

/// Such a credential gets an empty list, not a refusal.
#[tokio::test]
async fn a_credential_that_may_not_view_finds_nothing_and_is_told_why_that_is_no_proof() {
    let setting = Setting::start();
    let admin_id = setting.portal.add_user(NewUser { may_view: false, ..NewUser::default() });
    let token = setting.portal.create_token(NewToken { admin_id, ..NewToken::default() }).unwrap();
    let credentials = Credentials::from_pair(Some(&token.access_id), token.access_key).unwrap();
    let client = Client::new(identity(&setting.portal.base_url(), credentials), None);
    let setting = Setting { client, ..setting };
    setting.strike(FaultKind::ActThenClose);
    let error = setting.add().await.unwrap_err();
    assert_unknown(&setting, &error, ErrorKind::Transport, None);
    assert_eq!(candidates(&error), Some(Vec::new()));
    assert!(advice(&error).contains("cannot view"), "{}", advice(&error));
}

#[tokio::test]
async fn a_look_that_does_not_end_is_given_up() {
    let setting = Setting::struck(FaultKind::ActThenClose);
    let slow = Fault {
        method: Some("GET".to_owned()),
        times: None,
        seconds: Some(3600.0),
        ..FaultKind::Delay.into()
    };
    setting.portal.add_fault(slow).unwrap();
    let timeouts = lmtokens::credentials::Timeouts {
        connect: Duration::from_millis(250),
        total: Duration::from_millis(300),
    };
    let identity = lmtokens::credentials::Identity { timeouts, ..setting.client.identity().clone() };
    let client = Client::new(identity, None);
    let error = tokio::time::timeout(HANGING, operation(add("ci")).run(&client))
        .await
        .expect("it hangs")
        .unwrap_err();
    assert_eq!((error.kind(), candidates(&error)), (ErrorKind::OutcomeUnknown, None));
}
