//! A request as it was received.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;

use axum::http::{HeaderMap, Method, Request};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use percent_encoding::percent_decode_str;
use url::form_urlencoded;

use super::clock::real_now_ms;
use crate::lmv1::REST_PREFIX;

/// The largest body that is accepted, in bytes.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;
/// How many bytes of a larger body are read, so that the client finishes sending and reads the response.
const DRAIN_LIMIT: usize = 16 * BODY_LIMIT;

/// The sender of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// The number of the connection, counted from 1.
    pub(super) connection: u64,
    pub(super) ip: IpAddr,
}

/// The reason why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    /// The connection failed or the framing was invalid.
    Broken,
}

/// A request under `/santaba/rest`.
#[derive(Debug)]
pub(super) struct ReceivedRequest {
    pub(super) peer: Peer,
    pub(super) received_at_ms: u64,
    pub(super) method: Method,
    /// As received.
    pub(super) path: String,
    /// The part of the path that is signed: after `/santaba/rest`, percent-decoded.
    pub(super) resource_path: String,
    /// As received, without the question mark.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Result<Bytes, BodyError>,
}

impl ReceivedRequest {
    pub(super) async fn receive<B>(peer: Peer, request: Request<B>) -> Self
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let received_at_ms = real_now_ms();
        let (head, body) = request.into_parts();
        let body = read(body).await;
        let path = head.uri.path();
        let after_prefix = path.strip_prefix(REST_PREFIX).unwrap_or(path);
        Self {
            peer,
            received_at_ms,
            resource_path: percent_decode_str(after_prefix).decode_utf8_lossy().into_owned(),
            path: path.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            method: head.method,
            headers: head.headers,
            body,
        }
    }

    /// Returns the body; empty if it could not be read.
    pub(super) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Returns the first query parameter with this name, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Returns a header as text; `None` if it is missing or contains other than visible ASCII characters.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Reads a body of at most [`BODY_LIMIT`] bytes.
pub(super) async fn read<B>(mut body: B) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut whole = Bytes::new();
    let mut parts = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        length += data.len();
        if length > DRAIN_LIMIT {
            return Err(BodyError::TooLarge);
        } else if length > BODY_LIMIT {
            continue;
        }
        // Most bodies arrive in one piece, which is used without a copy.
        if whole.is_empty() && parts.is_empty() {
            whole = data;
        } else {
            if parts.is_empty() {
                parts.extend_from_slice(&whole);
            }
            parts.extend_from_slice(&data);
        }
    }
    if length > BODY_LIMIT {
        return Err(BodyError::TooLarge);
    }
    Ok(if parts.is_empty() { whole } else { parts.freeze() })
}
