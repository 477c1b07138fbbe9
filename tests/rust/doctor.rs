//! The checks of a doctor: each has a finding of its own, nothing repeats a credential, and one request is signed.

use std::fmt::Debug;
use std::sync::Arc;

use lmtokens::testing::clock::{Clock, SystemClock};
use lmtokens::testing::credentials::Arguments;
use lmtokens::testing::doctor::{Examination, Finding, Status};
use lmtokens::testing::sandbox::{Portal, Settings, Signature};

use crate::credentials::environment;
use crate::support::{
    ACCESS_ID, ACCESS_KEY, BEARER, RecordingObserver, assert_contains_no_part, closed_port,
};

async fn examine(variables: &[(&str, &str)], clock: impl Clock + 'static) -> Vec<Finding> {
    let examination = Examination::begin(&Arguments::default(), &environment(variables));
    examination.finish("tests", Arc::new(clock), Arc::new(RecordingObserver::default())).await
}

fn with_status(findings: &[Finding], status: Status) -> Vec<&str> {
    findings.iter().filter(|finding| finding.status == status).map(|finding| finding.name).collect()
}

#[derive(Debug)]
struct Ahead;

impl Clock for Ahead {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + 40 * 60 * 1000
    }
}

#[tokio::test]
async fn no_request_is_signed_with_a_clock_that_is_off() {
    let portal = Portal::start(Settings::default()).unwrap();
    let (url, id, key) = (portal.base_url(), portal.access_id(), portal.access_key());
    let variables = [("LM_BASE_URL", url.as_str()), ("LM_ACCESS_ID", id), ("LM_ACCESS_KEY", key.reveal())];
    let right = examine(&variables, SystemClock).await;
    assert_eq!(with_status(&right, Status::Problem), Vec::<&str>::new());
    let wrong = examine(&variables, Ahead).await;
    assert_eq!(with_status(&wrong, Status::Problem), ["clock"]);
    let signatures: Vec<_> = portal.record().into_iter().map(|seen| seen.signature).collect();
    assert_eq!(signatures, [Signature::Valid]);
}

#[tokio::test]
async fn a_name_with_a_credential_is_not_resolved() {
    let key = "markerOfLettersAndDigits0123456789";
    for (company, id, key) in [
        (key, ACCESS_ID, key),
        (ACCESS_ID, ACCESS_ID, ACCESS_KEY),
        ("acme", "acme", ACCESS_KEY),
        ("x-markerOfLettersAndDigits0123456789", ACCESS_ID, key),
        ("markerOfLettersAndDigits012345678", ACCESS_ID, key),
        (key, ACCESS_ID, "\"markerOfLettersAndDigits0123456789\""),
        (key, ACCESS_ID, "'markerOfLettersAndDigits0123456789'"),
        (key, ACCESS_ID, "b'markerOfLettersAndDigits0123456789'"),
        (key, ACCESS_ID, "LM_ACCESS_KEY=markerOfLettersAndDigits0123456789"),
        (key, ACCESS_ID, "acme"),
    ] {
        let variables = [("LM_COMPANY", company), ("LM_ACCESS_ID", id), ("LM_ACCESS_KEY", key)];
        let findings = examine(&variables, SystemClock).await;
        assert!(with_status(&findings, Status::Problem).contains(&"portal"), "{company}: {findings:?}");
        assert!(with_status(&findings, Status::Skipped).contains(&"dns"), "{company}: {findings:?}");
        let shown = format!("{findings:?}");
        assert!(!shown.to_lowercase().contains("marker"), "{shown}");
    }
}

#[tokio::test]
async fn an_invalid_timeout_is_named_beside_another_problem() {
    let variables = [("LM_TIMEOUT", "soon"), ("LM_ACCESS_ID", ACCESS_ID), ("LM_ACCESS_KEY", ACCESS_KEY)];
    let findings = examine(&variables, SystemClock).await;
    assert_eq!(with_status(&findings, Status::Problem), ["portal", "request"]);
    assert!(format!("{findings:?}").contains("LM_TIMEOUT"), "{findings:?}");
}

#[tokio::test]
async fn no_finding_repeats_a_credential() {
    let url = format!("http://127.0.0.1:{}/santaba/rest", closed_port().await);
    let newer_key = "lma_markerUnit+test(key)]{%~^_=Z";
    for marker in [ACCESS_ID, "markerUnit+test(key)]{%~^_=Z", newer_key, BEARER] {
        for form in ["{}", "\"{}\"", "{}\n", " {}", "Bearer {}", "{}\u{200b}", "LM_ACCESS_KEY={}"] {
            let value = form.replace("{}", marker);
            for name in [
                "LM_COMPANY",
                "LM_ACCOUNT",
                "LM_DOMAIN_NAME",
                "LM_ACCESS_ID",
                "LM_ACCESS_KEY",
                "LM_API_ID",
                "LM_API_KEY",
                "LM_BEARER_TOKEN",
                "LM_ACCESS_KEY_FILE",
                "LM_BEARER_TOKEN_FILE",
                "LM_TIMEOUT",
                "LM_PROFILE",
                "LM_CONFIG_FILE",
            ] {
                let variables = [
                    ("LM_BASE_URL", url.as_str()),
                    ("LM_ACCESS_ID", "otherAccessId0000002"),
                    ("LM_ACCESS_KEY", "other-key"),
                    (name, value.as_str()),
                ];
                let findings = examine(&variables, SystemClock).await;
                assert_eq!(findings.len(), 11, "{name}: {findings:?}");
                assert_contains_no_part(&format!("{findings:?}"), marker, name);
            }
        }
    }
}
