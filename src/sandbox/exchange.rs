//! One request as it was received.

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
/// How much of a body beyond the limit is read, so that its sender gets to read the refusal.
const DRAIN_LIMIT: usize = 16 * BODY_LIMIT;

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Counts connections from 1.
    pub(super) connection: u64,
    pub(super) ip: IpAddr,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    /// The connection broke, or the framing did.
    Broken,
}

/// One request under the REST prefix.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) peer: Peer,
    pub(super) received_at_ms: u64,
    pub(super) method: Method,
    /// As received.
    pub(super) path: String,
    /// What is signed: percent-decoded, after the REST prefix.
    pub(super) resource_path: String,
    /// As received, without the question mark.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Result<Bytes, BodyError>,
}

impl Exchange {
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

    /// The bytes of the body; none where it could not be had.
    pub(super) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The first query parameter of a name, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    }

    /// A header as text; `None` where it is missing or no visible ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Reads a body up to the limit.
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
        // Nearly every body here arrives as one piece, which needs no copy.
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
