use super::{SECRET, first_line};
use crate::explain::{PortalTime, SentRequest, Token, explain as find, header_value};
use crate::lmv1::{Request, SigningKey};
use crate::secret::Secret;
use percent_encoding::percent_decode_str;

const ACCESS_ID: &str = "exampleAccessId00001";
const NOW: u64 = 1_800_000_000_000;

/// Explains a header: the lines are the header, the method and the path; the rest is the body. The right header of the
/// same request is correct.
pub(super) fn explain(input: &[u8]) {
    let text = super::text(input);
    let (header, rest) = first_line(&text);
    let (method, rest) = first_line(rest);
    let (path, body) = first_line(rest);
    let Ok(header) = header_value(header) else { return };
    let Ok(request) = SentRequest::new(method, path, body.as_bytes()) else { return };
    let secret = Secret::new(SECRET.to_owned());
    let token = Token { access_id: ACCESS_ID, access_key: &secret };
    let explanation = find(header, &request, Some(token), PortalTime::at(NOW));
    let shown = explanation.string_to_sign.unwrap_or_default();
    assert!(!shown.contains(SECRET) || text.contains(SECRET) || text.contains('%'), "{shown}");
    assert!(explanation.correct || !explanation.causes.is_empty());

    let sent =
        request.path.strip_prefix("/santaba/rest").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let resource = percent_decode_str(sent.unwrap_or(&request.path)).decode_utf8_lossy();
    let right =
        Request { method: &request.method, timestamp_ms: NOW, body: request.body, resource_path: &resource };
    let right = right.authorization(ACCESS_ID, &SigningKey::new(SECRET.as_bytes()));
    let explanation = find(&right, &request, Some(token), PortalTime::at(NOW));
    assert!(explanation.correct && explanation.causes.is_empty(), "{:?}", explanation.causes);
}
