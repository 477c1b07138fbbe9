use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::compression::compression;
use super::idle::IdleConnections;
use super::{header, rate_headers, redirect_host};
use crate::client::portal_clock::PortalClock;
use crate::fuzz::SECRET;

/// Reads the headers of a response, one a line.
pub(crate) fn fuzz_headers(input: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    if let Some(rate) = rate_headers(&headers) {
        assert!(rate.limit > 0 && rate.remaining <= rate.limit);
        assert!(Duration::ZERO < rate.window && rate.window <= Duration::from_secs(86_400));
    }
    if let Some(date) = header(&headers, &DATE).and_then(|date| httpdate::parse_http_date(date).ok()) {
        assert!(date >= SystemTime::UNIX_EPOCH);
        let clock = PortalClock::default();
        clock.set(date, 0);
        assert!(clock.now(0).is_some_and(|now| now >= date));
    }
    if let Ok(url) = Url::parse("https://acme.logicmonitor.com/santaba/rest/setting/admins")
        && let Some(host) = redirect_host(&url, &headers)
    {
        assert!(!host.is_empty() && !host.contains(['@', '/', '\\', ' ']), "{host:?}");
    }
    if let Some(name) = compression(&headers) {
        assert!(!name.contains(SECRET), "{name:?}");
    }
    let idle = IdleConnections::default();
    let before = idle.limit();
    let must_close = idle.learn(&headers);
    assert!(idle.limit() <= before);
    assert!(must_close || idle.limit() == before);
    idle.learn(&headers);
    assert!(idle.limit() <= before);
}
