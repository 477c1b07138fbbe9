//! Each kind of fault, and the requests that it applies to.

use std::time::{Duration, Instant};

use lmtokens::testing::error::ErrorKind;
use lmtokens::testing::sandbox::{Fault, FaultKind, RandomFaults, RateHeaders, Settings};
use serde_json::json;

use super::{Api, TOKENS, send};

/// Returns how many tokens were created.
fn created(api: &Api) -> usize {
    api.portal.tokens().len() - 2
}

async fn post(api: &Api) -> reqwest::Result<super::Reply> {
    api.try_call("POST", TOKENS, r#"{"note":"n"}"#).await
}

#[tokio::test]
async fn closed_connections_get_no_byte_of_a_response() {
    for (kind, acts) in [(FaultKind::CloseBeforeActing, false), (FaultKind::ActThenClose, true)] {
        let api = Api::start();
        api.fault(kind);
        let error = post(&api).await.unwrap_err();
        assert!(error.is_request() && !error.is_connect(), "{error:?}");
        let seen = api.last_seen();
        assert_eq!(
            (seen.fault, seen.status, seen.applied, created(&api)),
            (Some(kind), None, acts, usize::from(acts))
        );
        assert_eq!(post(&api).await.unwrap().status, 200, "once is the default");

        let raw =
            format!("GET /santaba/rest/x HTTP/1.1\r\nHost: x\r\nX-Sandbox-Fault: {}\r\n\r\n", word(kind));
        assert_eq!(api.raw(raw.as_bytes()).await, "");
    }
}

fn word(kind: FaultKind) -> String {
    serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn statuses_and_pages_are_sent_before_or_after_acting() {
    use FaultKind as Kind;
    for (kind, given, status, code, acts) in [
        (Kind::StatusBeforeActing, None, 500, Some(1500), false),
        (Kind::StatusBeforeActing, Some(502), 502, Some(1502), false),
        (Kind::StatusBeforeActing, Some(401), 401, Some(1401), false),
        (Kind::ActThenStatus, None, 500, Some(1500), true),
        (Kind::ActThenStatus, Some(504), 504, Some(1504), true),
        (Kind::Html, None, 503, None, false),
        (Kind::Html, Some(200), 200, None, false),
        (Kind::ActThenHtml, None, 503, None, true),
        (Kind::ActThenHtml, Some(502), 502, None, true),
    ] {
        let api = Api::start();
        api.fault(Fault { status: given, ..kind.into() });
        let reply = post(&api).await.unwrap();
        assert_eq!((reply.status, created(&api)), (status, usize::from(acts)), "{kind:?}");
        match code {
            Some(code) => assert_eq!(reply.error(), (status, code)),
            None => assert!(
                reply.text.starts_with("<html>")
                    && reply.header("content-type").unwrap().starts_with("text/html")
            ),
        }
        assert_eq!((api.last_seen().status, api.last_seen().applied), (Some(status), acts));
    }
    let api = Api::start();
    api.fault(Fault { code: Some(7), message: Some("own \"words\"".into()), ..Kind::ActThenStatus.into() });
    assert_eq!(post(&api).await.unwrap().json()["errorMessage"], "own \"words\"");
    for status in [204, 304] {
        api.fault(Fault { status: Some(status), ..Kind::StatusBeforeActing.into() });
        let reply = post(&api).await.unwrap();
        assert_eq!((reply.status, reply.text.as_str()), (status, ""));
    }
}

#[tokio::test]
async fn rate_limit_headers_are_normal_missing_nonsense_or_contradictory() {
    let api = Api::with(Settings { rate_limit: Some(5), window_seconds: Some(2.0), ..Settings::default() });
    for (headers, expected) in [
        (None, Some(["5", "0", "2"])),
        (Some(RateHeaders::Normal), Some(["5", "0", "2"])),
        (Some(RateHeaders::Missing), None),
        (Some(RateHeaders::Nonsense), Some(["plenty", "-1", "soon"])),
        (Some(RateHeaders::Contradictory), Some(["10", "50", "0"])),
    ] {
        api.fault(Fault { headers, ..FaultKind::RateLimited.into() });
        let reply = post(&api).await.unwrap();
        assert_eq!(reply.error(), (429, 1429));
        let names = ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-window"];
        assert_eq!(names.map(|name| reply.header(name)), expected.map_or([None; 3], |texts| texts.map(Some)));
        assert_eq!(reply.header("retry-after"), None);
    }
    assert_eq!(created(&api), 0);
}

#[tokio::test]
async fn errors_in_http_200_do_not_act() {
    let api = Api::start();
    api.fault(FaultKind::ErrorIn200);
    let reply = post(&api).await.unwrap();
    assert_eq!(reply.error(), (200, 1500));
    api.fault(Fault { code: Some(1403), message: Some("no".into()), ..FaultKind::ErrorIn200.into() });
    let reply = post(&api).await.unwrap();
    assert_eq!((reply.error(), &reply.json()["errorMessage"]), ((200, 1403), &json!("no")));
    api.fault(Fault { code: Some(403), message: Some("no".into()), ..FaultKind::V1Error.into() });
    let reply = post(&api).await.unwrap();
    assert_eq!((reply.status, reply.json()), (200, json!({"status": 403, "errmsg": "no", "data": null})));
    assert_eq!(created(&api), 0);
}

#[tokio::test]
async fn faulty_successes_have_acted() {
    use FaultKind as Kind;
    let api = Api::start();
    let mut count = 0;
    let mut respond = async |kind: FaultKind| {
        api.fault(kind);
        let reply = post(&api).await.unwrap();
        count += 1;
        assert_eq!((reply.status, created(&api), api.last_seen().applied), (200, count, true), "{kind:?}");
        reply
    };
    let wrapped = respond(Kind::V1Envelope).await.json();
    assert_eq!((&wrapped["status"], &wrapped["data"]["note"]), (&json!(200), &json!("n")));
    assert!(serde_json::from_str::<serde_json::Value>(&respond(Kind::Garbage).await.text).is_err());
    assert_eq!(respond(Kind::Empty).await.text, "");
    assert_eq!(respond(Kind::WrongShape).await.json(), json!({"id": "x"}));
    let keyless = respond(Kind::NoKey).await.json();
    assert_eq!((keyless.get("accessKey"), &keyless["note"]), (None, &json!("n")));
    // The fault also wraps an error.
    api.fault(Kind::V1Envelope);
    assert_eq!(api.call("POST", TOKENS, "[]").await.json()["status"], 1007);
}

#[tokio::test]
async fn a_truncated_response_has_the_full_content_length_and_half_the_body() {
    let api = Api::start();
    let whole = post(&api).await.unwrap().text.len();
    api.fault(FaultKind::Truncated);
    let response = api.signed(&api.admin(), "POST", TOKENS, r#"{"note":"n"}"#).send().await.unwrap();
    assert_eq!(response.content_length(), Some(whole as u64));
    let error = response.bytes().await.unwrap_err();
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(created(&api), 2);

    let bearer = api.portal.bearer_token();
    let raw = format!(
        "GET /santaba/rest{TOKENS}?v=3 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nX-Sandbox-Fault: truncated\r\n\r\n",
        bearer.reveal()
    );
    let response = api.raw(raw.as_bytes()).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let content_length: usize =
        head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    assert_eq!(body.len(), content_length / 2);
}

#[tokio::test]
async fn a_trickle_arrives_complete_and_late() {
    let api = Api::start();
    api.fault(Fault { seconds: Some(0.001), ..FaultKind::Trickle.into() });
    let start = Instant::now();
    let reply = post(&api).await.unwrap();
    assert_eq!(reply.json()["note"], "n");
    assert!(start.elapsed() > Duration::from_millis(200));
}

#[tokio::test]
async fn redirects_lead_to_their_location() {
    let api = Api::start();
    api.fault(Fault { location: Some("http://other.invalid/x".into()), ..FaultKind::Redirect.into() });
    let reply = post(&api).await.unwrap();
    assert_eq!((reply.status, reply.header("location")), (302, Some("http://other.invalid/x")));
    api.fault(Fault { status: Some(307), ..FaultKind::Redirect.into() });
    let reply = post(&api).await.unwrap();
    assert_eq!(reply.status, 307);
    assert!(reply.header("location").is_some());
    assert_eq!(created(&api), 0);
}

#[tokio::test]
async fn delayed_requests_act_even_if_the_client_disconnects() {
    for (kind, acts_at_once) in [(FaultKind::Delay, false), (FaultKind::ActThenDelay, true)] {
        let api = Api::start();
        api.fault(Fault { seconds: Some(0.8), ..kind.into() });
        let start = Instant::now();
        assert_eq!(post(&api).await.unwrap().status, 200);
        assert!(start.elapsed() >= Duration::from_millis(800));
        assert_eq!(api.last_seen().status, Some(200));

        api.fault(Fault { seconds: Some(0.8), ..kind.into() });
        let request = api.signed(&api.admin(), "POST", TOKENS, "{}").timeout(Duration::from_millis(200));
        assert!(send(request).await.unwrap_err().is_timeout());
        assert_eq!(created(&api), 1 + usize::from(acts_at_once));
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(created(&api), 2);
        let seen = api.last_seen();
        assert_eq!((seen.applied, seen.status), (true, None), "the client did not receive a response");
    }
}

#[tokio::test]
async fn a_late_request_acts_after_its_connection_closed_but_not_after_a_reset() {
    let api = Api::start();
    let late = || Fault { seconds: Some(0.6), ..FaultKind::Late.into() };
    api.fault(late());
    assert!(post(&api).await.unwrap_err().is_request());
    assert_eq!((created(&api), api.last_seen().applied), (0, false));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((created(&api), api.last_seen().applied, api.last_seen().status), (1, true, None));

    api.fault(late());
    assert!(post(&api).await.is_err());
    api.portal.reset();
    api.get(TOKENS).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((created(&api), api.last_seen().applied), (0, false));
}

#[tokio::test]
async fn faults_match_requests_by_method_path_skip_and_times() {
    let api = Api::start();
    let fault = |fault: Fault| api.fault(Fault { status: Some(599), ..fault });
    let base = || Fault::new(FaultKind::StatusBeforeActing);
    let gets = async |path: &str, count: usize| {
        let mut faulty = Vec::new();
        for _ in 0..count {
            faulty.push(api.get(path).await.status == 599);
        }
        faulty
    };
    fault(Fault { method: Some("post".into()), ..base() });
    assert_eq!(gets(TOKENS, 2).await, [false, false]);
    assert_eq!(post(&api).await.unwrap().status, 599);

    fault(Fault { skip: 1, times: Some(2), ..base() });
    assert_eq!(gets(TOKENS, 5).await, [false, true, true, false, false]);

    fault(Fault { path: Some(TOKENS.into()), times: None, ..base() });
    assert_eq!(gets("/setting/admins", 1).await, [false]);
    assert_eq!(gets(&format!("{TOKENS}?size=1"), 3).await, [true, true, true]);
    api.portal.clear_faults();

    fault(Fault { path: Some("/setting/admins/3*".into()), times: Some(1), ..base() });
    assert_eq!(gets("/setting/admins", 1).await, [false]);
    assert_eq!(gets(TOKENS, 2).await, [true, false]);

    fault(Fault { times: Some(0), ..base() });
    assert_eq!(gets(TOKENS, 1).await, [false]);

    // Of two faults, the one added first applies first.
    fault(base());
    api.fault(Fault { status: Some(598), ..base() });
    assert_eq!((api.get(TOKENS).await.status, api.get(TOKENS).await.status), (599, 598));
}

#[tokio::test]
async fn faults_apply_before_every_check() {
    let api = Api::start();
    api.fault(FaultKind::Html);
    assert_eq!(send(api.bare("GET", TOKENS)).await.unwrap().status, 503);
    // A fault that acts does not skip the checks.
    api.fault(FaultKind::ActThenClose);
    assert!(send(api.bare("POST", TOKENS).body("{}")).await.is_err());
    assert_eq!((created(&api), api.last_seen().applied), (0, false));
}

#[tokio::test]
async fn a_header_selects_a_fault_for_one_request() {
    let api = Api::start();
    let respond = async |header: &str| {
        let request = api.signed(&api.admin(), "POST", TOKENS, "{}");
        send(request.header("X-Sandbox-Fault", header)).await.unwrap()
    };
    assert_eq!(respond("html").await.status, 503);
    assert_eq!(respond(r#"{"kind":"act-then-status","status":504}"#).await.status, 504);
    assert_eq!(created(&api), 1);
    for bad in ["nothing", "{", r#"{"kind":"html","color":1}"#, r#"{"kind":"html","seconds":1}"#, ""] {
        let reply = respond(bad).await;
        assert_eq!(reply.error(), (400, 1400), "{bad}");
        assert!(reply.text.contains("X-Sandbox-Fault"), "{reply:?}");
    }
    assert_eq!(created(&api), 1);
}

#[tokio::test]
async fn random_faults_follow_their_seed() {
    let run = async |random: RandomFaults| {
        let api = Api::with(Settings { rate_limit: Some(10_000), ..Settings::default() });
        api.portal.set_random_faults(Some(random)).unwrap();
        for _ in 0..200 {
            drop(api.try_call("GET", TOKENS, "").await);
        }
        api.portal.record().into_iter().map(|seen| seen.fault).collect::<Vec<_>>()
    };
    let quick = |seed, rate| RandomFaults { seed, rate, ..RandomFaults::default() };
    let first = run(quick(1, 0.2)).await;
    assert_eq!(first, run(quick(1, 0.2)).await);
    assert_ne!(first, run(quick(2, 0.2)).await);
    let faults = first.iter().flatten().count();
    assert!((15..=70).contains(&faults), "{faults} of 200");
    assert_eq!(run(quick(1, 0.0)).await.iter().flatten().count(), 0);
    let only = RandomFaults { kinds: vec![FaultKind::Html], ..quick(3, 1.0) };
    assert!(run(only.clone()).await.iter().all(|fault| *fault == Some(FaultKind::Html)));
    let posts = RandomFaults { methods: Some(vec!["post".into()]), ..only };
    assert_eq!(run(posts).await.iter().flatten().count(), 0);
}

#[tokio::test]
async fn faults_that_could_never_apply_are_rejected() {
    let api = Api::start();
    for fault in [
        Fault { status: Some(100), ..FaultKind::Html.into() },
        Fault { status: Some(600), ..FaultKind::Html.into() },
        Fault { seconds: Some(-1.0), ..FaultKind::Delay.into() },
        Fault { seconds: Some(f64::NAN), ..FaultKind::Delay.into() },
        Fault { seconds: Some(1e9), ..FaultKind::Delay.into() },
        Fault { seconds: Some(1.0), ..FaultKind::Html.into() },
        Fault { status: Some(500), ..FaultKind::Garbage.into() },
        Fault { location: Some("x\r\ny".into()), ..FaultKind::Redirect.into() },
        Fault { path: Some("setting".into()), ..FaultKind::Html.into() },
        Fault { method: Some(String::new()), ..FaultKind::Html.into() },
    ] {
        assert_eq!(api.portal.add_fault(fault.clone()).unwrap_err().kind(), ErrorKind::Argument, "{fault:?}");
    }
    for random in [
        RandomFaults { rate: 1.1, ..RandomFaults::default() },
        RandomFaults { rate: f64::NAN, ..RandomFaults::default() },
        RandomFaults { kinds: Vec::new(), ..RandomFaults::default() },
    ] {
        assert_eq!(api.portal.set_random_faults(Some(random)).unwrap_err().kind(), ErrorKind::Argument);
    }
    api.assert_responsive().await;
}
