//! The HTTP response, faulty or not.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use http_body::Frame;
use tokio::time::Sleep;

use super::clock::Clock;
use super::rate_limit::Rate;

const HINT: HeaderName = HeaderName::from_static("x-sandbox-hint");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-rate-limit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-rate-limit-remaining");
const RATE_WINDOW: HeaderName = HeaderName::from_static("x-rate-limit-window");

/// The pause before a truncated body ends, so that its first half is sent.
const PAUSE_BEFORE_END: Duration = Duration::from_millis(10);

/// The connection is closed without a response, or in the middle of one.
#[derive(Debug)]
pub(super) struct ConnectionClosed;

impl std::fmt::Display for ConnectionClosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an injected fault closed the connection")
    }
}

impl std::error::Error for ConnectionClosed {}

/// How the body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    /// The first half; `Content-Length` is that of the whole body.
    Half,
    /// Byte by byte, each after a pause.
    Trickle(Duration),
}

/// The values of the rate limit headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RateHeaderValues {
    Absent,
    Numbers(Rate),
    /// Limit, remaining and window.
    Texts([&'static str; 3]),
}

/// A response, before it is converted for the HTTP server.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) delivery: Delivery,
    pub(super) rate: RateHeaderValues,
    pub(super) location: Option<String>,
    /// Why the header was refused.
    pub(super) hint: Option<String>,
    pub(super) date: String,
}

impl Reply {
    pub(super) fn json(clock: Clock, status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type: "application/json",
            body,
            delivery: Delivery::Whole,
            rate: RateHeaderValues::Absent,
            location: None,
            hint: None,
            date: clock.http_date(),
        }
    }

    pub(super) fn html(clock: Clock, status: u16) -> Self {
        Self {
            content_type: "text/html; charset=UTF-8",
            body: b"<html><head><title>Service Temporarily Unavailable</title></head>\r\n\
                    <body><h1>Service Temporarily Unavailable</h1></body></html>\r\n"
                .to_vec(),
            ..Self::json(clock, status, Vec::new())
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let length = self.body.len();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = Bytes::from(self.body);
        let mut response = Response::new(match self.delivery {
            _ if has_no_body => Body::empty(),
            Delivery::Whole => Body::from(body),
            Delivery::Half => Body::new(SlowBody::half(&body)),
            Delivery::Trickle(pause) => Body::new(SlowBody::trickle(&body, pause)),
        });
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if !has_no_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if let Ok(date) = HeaderValue::from_maybe_shared(Bytes::from(self.date)) {
            headers.insert(DATE, date);
        }
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(LOCATION, location);
        }
        if let Some(hint) = self.hint.and_then(|hint| HeaderValue::try_from(hint).ok()) {
            headers.insert(HINT, hint);
        }
        let rate = match self.rate {
            RateHeaderValues::Absent => return response,
            RateHeaderValues::Numbers(Rate { limit, remaining, window_seconds }) => {
                [limit.into(), remaining.into(), window_seconds.into()]
            }
            RateHeaderValues::Texts(texts) => texts.map(HeaderValue::from_static),
        };
        headers.extend([RATE_LIMIT, RATE_REMAINING, RATE_WINDOW].into_iter().zip(rate));
        response
    }
}

/// A body with a pause before each piece, which may end early.
struct SlowBody {
    pieces: VecDeque<Bytes>,
    /// The pause before each piece, and before the end of a truncated body.
    pause: Duration,
    pausing: Option<Pin<Box<Sleep>>>,
    is_truncated: bool,
}

impl SlowBody {
    fn half(whole: &Bytes) -> Self {
        let half = whole.slice(..whole.len() / 2);
        Self { pieces: [half].into(), pause: PAUSE_BEFORE_END, pausing: None, is_truncated: true }
    }

    fn trickle(whole: &Bytes, pause: Duration) -> Self {
        let pieces = (0..whole.len()).map(|index| whole.slice(index..=index)).collect();
        Self { pieces, pause, pausing: None, is_truncated: false }
    }
}

impl http_body::Body for SlowBody {
    type Data = Bytes;
    type Error = ConnectionClosed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionClosed>>> {
        if self.pieces.is_empty() && !self.is_truncated {
            return Poll::Ready(None);
        }
        let pause = self.pause;
        let pausing = self.pausing.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        if pausing.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.pausing = None;
        Poll::Ready(Some(self.pieces.pop_front().map(Frame::data).ok_or(ConnectionClosed)))
    }
}
