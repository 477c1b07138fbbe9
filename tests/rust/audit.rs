//! Audits of several portals, and the earlier reports that audits are compared with.

use lmtokens::testing::client::Client;
use lmtokens::testing::error::{Error, ErrorKind};
use lmtokens::testing::lifecycle::{
    AuditReason, AuditTokens, EarlierReport, Rules, Severity, Source, audit_portals,
};
use lmtokens::testing::operation::call;
use lmtokens::testing::sandbox::{NewToken, Portal, Settings};

use crate::add::lmv1_of;
use crate::support::{closed_port, identity, pair};

fn looking_for(reason: AuditReason) -> AuditTokens {
    AuditTokens { rules: Rules { reasons: vec![reason], ..Rules::default() }, ..AuditTokens::default() }
}

fn client(portal: &Portal) -> Client {
    Client::new(identity(&portal.base_url(), lmv1_of(portal)), None)
}

fn portal_with(notes: &[&str]) -> Portal {
    let portal = Portal::start(Settings::default()).unwrap();
    for note in notes {
        portal.create_token(NewToken { note: (*note).to_owned(), ..NewToken::default() }).unwrap();
    }
    portal
}

#[tokio::test]
async fn several_portals_give_one_report_in_which_every_finding_names_its_portal_and_profile() {
    let (first, second) = (portal_with(&["", "ci", ""]), portal_with(&[""]));
    let unreachable = format!("http://127.0.0.1:{}/santaba/rest", closed_port().await);
    let sources = vec![
        Source { client: client(&first), profile: Some("first".to_owned()) },
        Source {
            client: Client::new(identity(&unreachable, pair()), None),
            profile: Some("broken".to_owned()),
        },
        Source { client: client(&second), profile: None },
    ];
    let audit = audit_portals(sources, looking_for(AuditReason::NoNote)).await.unwrap();
    let found: Vec<_> =
        audit.findings.iter().map(|found| (found.portal.to_string(), found.profile.as_deref())).collect();
    let of_first = (first.base_url(), Some("first"));
    assert_eq!(found, [of_first.clone(), of_first, (second.base_url(), None)]);
    assert!(audit.findings.iter().all(|finding| finding.severity() == Some(Severity::Info)));
    let portals: Vec<_> = audit
        .portals
        .iter()
        .map(|portal| (portal.profile.as_deref(), portal.checked, portal.error.as_ref().map(Error::kind)))
        .collect();
    // With the two built-in tokens of each.
    assert_eq!(
        portals,
        [(Some("first"), 5, None), (Some("broken"), 0, Some(ErrorKind::Connect)), (None, 3, None)]
    );
}

#[tokio::test]
async fn the_error_of_the_only_portal_is_the_error_of_the_audit() {
    let unreachable = format!("http://127.0.0.1:{}/santaba/rest", closed_port().await);
    let client = Client::new(identity(&unreachable, pair()), None);
    let error = call(AuditTokens::default(), &client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
}

#[tokio::test]
async fn an_audit_that_can_find_nothing_is_refused_before_any_request() {
    let portal = portal_with(&[]);
    let without_report = looking_for(AuditReason::AddressChanged);
    let nothing =
        AuditTokens { rules: Rules { reasons: Vec::new(), ..Rules::default() }, ..AuditTokens::default() };
    let missing = AuditTokens { diff: Some("/nonexistent/report.json".into()), ..AuditTokens::default() };
    for refused in [without_report, nothing, missing] {
        let error = call(refused, &client(&portal)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
    }
    assert_eq!(portal.record(), []);
}

#[test]
fn only_the_json_of_a_report_or_of_a_list_of_tokens_is_an_earlier_report() {
    for valid in [
        "[]",
        r#"{"findings": []}"#,
        r#"[{"id": 1}]"#,
        r#"[{"id": 1, "reasons": ["idle", "a reason of a later version"], "portal": null, "note": {}}]"#,
    ] {
        assert!(EarlierReport::parse(valid).is_ok(), "{valid}");
    }
    for (invalid, problem) in [
        ("", "it is not valid JSON"),
        ("{}", "it is not an array of tokens"),
        ("[1]", "it is not an array of tokens"),
        (r#"[{"id": "1"}]"#, "a token in it has no id"),
        (r#"[{"id": 1, "change": "new"}]"#, "it is a comparison of reports, written with --diff"),
    ] {
        assert_eq!(EarlierReport::parse(invalid), Err(problem), "{invalid}");
    }
}

#[test]
fn the_name_of_every_reason_and_severity_can_be_read_again() {
    for reason in AuditReason::ALL {
        assert_eq!(reason.as_str().parse::<AuditReason>().unwrap(), *reason);
    }
    for severity in Severity::ALL {
        assert_eq!(severity.as_str().parse::<Severity>().unwrap(), severity);
    }
    let error = "idel".parse::<AuditReason>().unwrap_err().to_string();
    assert!(error.starts_with("invalid reason \"idel\"; expected one of idle, never_used"), "{error}");
}
