//! Bulk runs: every row has a result, also one that panics.

use std::sync::Arc;

use lmtokens::testing::client::Client;
use lmtokens::testing::destinations::{BoxFuture, Destination};
use lmtokens::testing::error::{ErrorKind, Result};
use lmtokens::testing::ids::{AdminId, Note, Status, Type};
use lmtokens::testing::lifecycle::{AddTokens, DestinationForRow, Outcome, Row, RowInput, RunSettings};
use lmtokens::testing::model::Token;
use lmtokens::testing::sandbox::{Portal, Settings};
use lmtokens::testing::tag::Tag;
use lmtokens::testing::tokens::{NewToken, User};

use crate::add::lmv1_of;
use crate::support::identity;

/// A destination with a bug: it panics for one note.
struct Panicking;

impl Destination for Panicking {
    fn deliver<'a>(&'a self, token: &'a Token, _tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            assert_ne!(token.note.as_deref(), Some("panic"), "a bug");
            Ok(())
        })
    }

    fn describe(&self) -> String {
        "the test".to_owned()
    }
}

fn row(line: u64, note: &str) -> Row {
    let token = NewToken {
        admin: User::Id(AdminId::new(32).unwrap()),
        note: Some(Note::new(note).unwrap()),
        status: Status::Enabled,
        r#type: Type::Lmv1,
        expires: None,
    };
    Row { token, line, input: RowInput { number: line, columns: Vec::new() } }
}

#[tokio::test]
async fn a_row_that_panics_is_reported_as_unknown_and_leaves_no_enabled_token() {
    let portal = Portal::start(Settings::default()).unwrap();
    let client = Client::new(identity(&portal.base_url(), lmv1_of(&portal)), None);
    let folder = std::env::temp_dir().join(format!("lmtokens-bulk-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let journal = folder.join("run.journal");
    let rows = ["a", "panic", "b"].iter().zip(1..).map(|(note, line)| row(line, note)).collect();
    let destination_of: DestinationForRow = Arc::new(|_, _| Ok(Arc::new(Panicking)));
    let settings = RunSettings { destination: Some(destination_of), ..RunSettings::default() };
    let mut run = AddTokens { rows, journal, settings }.start(&client).unwrap();

    let mut unknown = Vec::new();
    while let Some(result) = run.next().await.unwrap() {
        if let Outcome::Unknown(error) = &result.outcome {
            assert_eq!((error.kind(), error.details().maybe_applied), (ErrorKind::OutcomeUnknown, true));
            unknown.push(result.row.line);
        }
    }
    let summary = run.summary();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(unknown, [2]);
    assert_eq!((summary.created, summary.unknown, summary.ended()), (2, 1, 3));
    // The run removes the pending token of the row that panicked.
    let created: Vec<String> = portal.tokens().into_iter().skip(2).map(|token| token.note).collect();
    let mut created: Vec<&str> = created.iter().map(String::as_str).collect();
    created.sort_unstable();
    assert_eq!(created, ["a", "b"]);
}
