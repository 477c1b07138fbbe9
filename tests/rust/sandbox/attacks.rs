//! Hostile input: the sandbox must not panic, hang or leak.

use super::{Api, TOKENS, send};

#[tokio::test]
async fn garbage_does_not_stop_the_sandbox() {
    let api = Api::start();
    let long_header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1_000_000));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let long_path =
        format!("GET /santaba/rest/{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "a/".repeat(20_000));
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".as_slice(),
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /santaba/rest HTTP/9.9\r\n\r\n",
        b"POST /santaba/rest HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /santaba/rest HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /santaba/rest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /santaba/rest HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        b"GET /santaba/rest/%ff%fe/%00/..%2f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /santaba/rest?%ff=%&&&=;v=3&v HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /santaba/rest/x HTTP/1.1\r\nHost: x\r\nAuthorization: LMv1 \xff\xfe:a:1\r\nX-Version: \xff\r\nX-Sandbox-Fault: \xff\r\nUser-Agent: \xff\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
        b"GET http://example.com/santaba/rest/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"HEAD /santaba/rest/setting/admins HTTP/1.1\r\nHost: x\r\nX-Version: 3\r\nConnection: close\r\n\r\n",
        b"BREW /santaba/rest/setting/admins HTTP/1.1\r\nHost: x\r\nX-Version: 3\r\nConnection: close\r\n\r\n",
        long_header.as_bytes(),
        many_headers.as_bytes(),
        long_path.as_bytes(),
    ] {
        api.raw(bytes).await;
        api.assert_responsive().await;
    }
}

#[tokio::test]
async fn bodies_over_1_mib_get_413() {
    let api = Api::start();
    let body = |size: usize| format!("{{\"note\":\"{}\"}}", "x".repeat(size - 11));
    let limit = 1024 * 1024;
    assert_eq!(api.call("POST", TOKENS, &body(limit)).await.status, 200);
    for size in [limit + 1, 5 * limit] {
        assert_eq!(api.call("POST", TOKENS, &body(size)).await.error(), (413, 1413));
        assert_eq!(api.last_seen().body, "");
    }
    let too_long =
        format!("POST /santaba/rest{TOKENS} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    api.raw(too_long.as_bytes()).await;
    api.assert_responsive().await;
    assert_eq!(api.portal.tokens().len(), 3);
}

#[tokio::test]
async fn deeply_nested_and_malformed_json_is_rejected() {
    let api = Api::start();
    for body in [
        "[".repeat(100_000),
        format!("{{\"note\":{}1{}}}", "[".repeat(1000), "]".repeat(1000)),
        "{\"note\":\"\\ud800\"}".to_owned(),
        "{\"status\":1e999}".to_owned(),
        "\u{feff}{}".to_owned(),
    ] {
        assert_eq!(api.call("POST", TOKENS, &body).await.error(), (400, 1400), "{body:.40}");
    }
    let twice = api.call("POST", TOKENS, r#"{"note":"a","note":"b"}"#).await;
    assert_eq!(twice.json()["note"], "b");
    let zero = api.call("POST", TOKENS, r#"{"note":"\u0000\ud83d\ude00"}"#).await;
    assert_eq!(zero.json()["note"], "\0😀");
}

#[tokio::test]
async fn malformed_headers_select_no_version_and_do_not_authenticate() {
    let api = Api::start();
    for version in ["", "2", "3.0", "three", "33"] {
        let request = api.bare("GET", TOKENS).header("X-Version", version);
        let reply = send(request).await.unwrap();
        assert_eq!((reply.status, reply.json()["status"].as_i64()), (200, Some(403)), "{version}");
    }
    for authorization in
        ["", "LMv1", "LMv1 ", "lmv1 a:b:1", "LMv1 a:b:99999999999999999999999", "Bearer", "Bearer "]
    {
        let request = api.bare("GET", TOKENS).header("X-Version", "3").header("Authorization", authorization);
        assert_eq!(send(request).await.unwrap().error(), (401, 1401), "{authorization}");
    }
}

#[tokio::test]
async fn many_concurrent_connections_are_served() {
    let api = Api::start();
    api.portal.set_rate_limit(None, 100_000, 60.0).unwrap();
    let calls: Vec<_> =
        (0..200).map(|_| tokio::spawn(send(api.signed(&api.admin(), "POST", TOKENS, "{}")))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status, 200);
    }
    let mut ids: Vec<_> = api.portal.tokens().iter().map(|token| token.access_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 202, "200 created, the built-in one, and the empty one of the bearer token");
}
