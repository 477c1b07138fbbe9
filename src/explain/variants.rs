//! The keys and the parts of the string to sign that mistakes lead to. The first of each list is the right one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use super::cause::Cause;
use super::header::{LENIENT_BASE64, is_milliseconds, number};
use super::{SentRequest, Token, json};
use crate::lmv1::REST_PREFIX;

/// The characters of a path that are not percent-encoded, besides letters and digits.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// As [`PATH`], for a whole query.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'&').remove(b'=').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A key or a part of the string, and the mistakes that lead to it.
pub(super) struct Variant {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) causes: Vec<Cause>,
}

fn variant(bytes: impl Into<Vec<u8>>, causes: &[Cause]) -> Variant {
    Variant { bytes: Zeroizing::new(bytes.into()), causes: causes.to_vec() }
}

/// Returns variants with different bytes, those with the fewest mistakes first.
fn distinct(mut variants: Vec<Variant>) -> Vec<Variant> {
    variants.sort_by_key(|variant| variant.causes.len());
    let mut kept: Vec<Variant> = Vec::new();
    for variant in variants {
        if kept.iter().all(|other| other.bytes != variant.bytes) {
            kept.push(variant);
        }
    }
    kept
}

pub(super) fn keys(token: Token<'_>) -> Vec<Variant> {
    const MAX_CUTS: usize = 16;
    let key = token.access_key.reveal();
    let around =
        |before: &str, after: &str| Zeroizing::new(format!("{before}{key}{after}")).as_bytes().to_vec();
    let mut variants = vec![
        variant(key, &[]),
        variant(around("", "\n"), &[Cause::KeyWhiteSpace]),
        variant(around("", "\r\n"), &[Cause::KeyWhiteSpace]),
        variant(around("", "\r"), &[Cause::KeyWhiteSpace]),
        variant(around("", " "), &[Cause::KeyWhiteSpace]),
        variant(around(" ", ""), &[Cause::KeyWhiteSpace]),
        variant(around("'", "'"), &[Cause::KeyQuotes]),
        variant(around("\"", "\""), &[Cause::KeyQuotes]),
        variant(around("b'", "'"), &[Cause::BytesRepr]),
        variant("", &[Cause::KeyEmpty]),
        variant(token.access_id, &[Cause::KeyIsAccessId]),
        variant(BASE64.encode(key), &[Cause::KeyBase64Encoded]),
        variant(utf16(key), &[Cause::Utf16]),
        variant(percent_decode_str(key).collect::<Vec<u8>>(), &[Cause::KeyPercentEncoding]),
        variant(utf8_percent_encode(key, NON_ALPHANUMERIC).to_string(), &[Cause::KeyPercentEncoding]),
        variant(without_expansions(key), &[Cause::KeyExpanded]),
        variant(key.replace('\\', ""), &[Cause::KeyExpanded]),
    ];
    let standard = key.replace('-', "+").replace('_', "/");
    let decoded = LENIENT_BASE64.decode(standard.trim_end_matches('='));
    variants.extend(decoded.ok().map(|decoded| variant(decoded, &[Cause::KeyBase64Decoded])));
    let ends = key.match_indices(['#', '=']).map(|(index, _)| index).take(MAX_CUTS);
    let last = key.char_indices().next_back().map(|(index, _)| index);
    let cut = ends.chain(last).filter_map(|end| key.get(..end));
    variants.extend(cut.map(|start| variant(start, &[Cause::KeyTruncated])));
    distinct(variants)
}

/// Returns the key as a shell reads it in double quotes, if no variable that it seems to name is set.
fn without_expansions(key: &str) -> String {
    let mut parts = key.split('$');
    let mut expanded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = match part.chars().next() {
            Some(first) if first.is_ascii_digit() => 1,
            Some(first) if is_name(first) => part.find(|c| !is_name(c)).unwrap_or(part.len()),
            _ => {
                expanded.push('$');
                0
            }
        };
        expanded.push_str(part.get(name..).unwrap_or_default());
    }
    expanded
}

pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

pub(super) fn methods(method: &str) -> Vec<Variant> {
    let in_any_case = |method: &str, causes: &[Cause]| {
        let lower = method.to_ascii_lowercase();
        let (first, rest) = method.split_at_checked(1).unwrap_or((method, ""));
        let title = format!("{first}{}", rest.to_ascii_lowercase());
        let wrong_case = [causes, &[Cause::MethodCase]].concat();
        [variant(method, causes), variant(lower, &wrong_case), variant(title, &wrong_case)]
    };
    let mut variants: Vec<Variant> = in_any_case(method, &[]).into();
    for other in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        variants.extend(in_any_case(other, &[Cause::OtherMethod]));
    }
    variants.push(variant("", &[Cause::MethodMissing]));
    distinct(variants)
}

pub(super) fn epochs(epoch: &str) -> Vec<Variant> {
    let unit = |text: String| variant(text, &[Cause::EpochUnit]);
    let mut variants = vec![variant(epoch, &[]), variant("", &[Cause::EpochMissing])];
    if let Some((whole, _)) = epoch.split_once('.') {
        variants.push(unit(whole.to_owned()));
    }
    match number(epoch) {
        Some(number) if is_milliseconds(number) => {
            let seconds = number / 1000;
            variants.extend([
                unit(seconds.to_string()),
                unit(format!("{seconds}.{:03}", number % 1000)),
                unit(format!("{number}.0")),
            ]);
        }
        Some(number) => variants.push(unit(number.saturating_mul(1000).to_string())),
        None => {}
    }
    distinct(variants)
}

/// Returns epochs that a clock read twice gives.
pub(super) fn other_epochs(epoch: &str) -> Vec<Variant> {
    const MAX_DIFFERENCE: u64 = 2000;
    let Some(number) = number(epoch) else { return Vec::new() };
    let differences = 1..=if is_milliseconds(number) { MAX_DIFFERENCE } else { 2 };
    let mut numbers: Vec<u64> = differences
        .flat_map(|difference| [number.saturating_sub(difference), number.saturating_add(difference)])
        .collect();
    // A clock read in seconds.
    numbers.push(number / 1000 * 1000);
    numbers.into_iter().map(|number| variant(number.to_string(), &[Cause::EpochDiffers])).collect()
}

pub(super) fn bodies(request: &SentRequest<'_>) -> Vec<Variant> {
    let body = request.body;
    let mut variants = vec![variant(body, &[])];
    if body.is_empty() {
        let query = request.query.as_bytes();
        let not_sent = [request.unsent, query, b"{}", b"null", b"None", b"undefined", b"\"\"", b"[]"];
        variants.extend(not_sent.map(|text| variant(text, &[Cause::BodyNotSent])));
        return distinct(variants);
    }
    let end = body.trim_ascii_end();
    variants.extend([
        variant("", &[Cause::BodyMissing]),
        variant([end, b"\n"].concat(), &[Cause::BodyLineBreak]),
        variant([end, b"\r\n"].concat(), &[Cause::BodyLineBreak]),
        variant(end, &[if body.ends_with(b"\n") { Cause::BodyLineBreak } else { Cause::BodyWhiteSpace }]),
        variant([body, b" "].concat(), &[Cause::BodyWhiteSpace]),
        variant([b"b'", body, b"'"].concat(), &[Cause::BodyRepr]),
        variant("[object Object]", &[Cause::BodyRepr]),
        variant("System.Collections.Hashtable", &[Cause::BodyRepr]),
    ]);
    let Ok(text) = std::str::from_utf8(body) else {
        let latin1: String = body.iter().copied().map(char::from).collect();
        variants.push(variant(latin1, &[Cause::BodyCharset]));
        return distinct(variants);
    };
    let one_byte_each = |other: fn(char) -> Option<u8>| text.chars().map(other).collect::<Option<Vec<u8>>>();
    let latin1 = one_byte_each(|c| u8::try_from(c).ok());
    let question_marks = one_byte_each(|c| Some(u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?')));
    let as_latin1: String = body.iter().copied().map(char::from).collect();
    let charsets = [latin1, question_marks, Some(as_latin1.into_bytes())];
    variants.extend(charsets.into_iter().flatten().map(|text| variant(text, &[Cause::BodyCharset])));
    variants.push(variant(serde_json::Value::from(text).to_string(), &[Cause::BodyDoubleEncoded]));
    let decoded = serde_json::from_str::<String>(text);
    variants.extend(decoded.ok().map(|decoded| variant(decoded, &[Cause::BodyDoubleEncoded])));
    variants.extend(json::rewritten(text));
    distinct(variants)
}

pub(super) fn paths(request: &SentRequest<'_>) -> Vec<Variant> {
    let resource = request.resource_path();
    let encoded = utf8_percent_encode(&resource, PATH).to_string();
    let stems = [
        (resource.as_str(), None),
        (request.sent_resource(), Some(Cause::PathEncoding)),
        (encoded.as_str(), Some(Cause::PathEncoding)),
    ];
    let decoded_query = percent_decode_str(&request.query).decode_utf8_lossy();
    // Of a form, in which a plus is a blank.
    let form = request.query.replace('+', " ");
    let decoded_form = percent_decode_str(&form).decode_utf8_lossy();
    let encoded_form = form.replace(' ', "%20");
    let encoded_query = utf8_percent_encode(&decoded_form, QUERY).to_string();
    let encoded_with_plus = encoded_query.replace("%20", "+");
    let mut members: Vec<&str> = request.query.split('&').collect();
    members.sort_unstable();
    let sorted_query = members.join("&");
    let queries = [
        request.query.as_str(),
        &sorted_query,
        &decoded_query,
        &decoded_form,
        &encoded_form,
        &encoded_query,
        &encoded_with_plus,
    ];
    let queries = queries.into_iter().filter(|query| !query.is_empty());
    let queries = queries.map(|query| (format!("?{query}"), Some(Cause::Query)));
    let queries: Vec<_> = std::iter::once((String::new(), None)).chain(queries).collect();
    let mut prefixes = vec![
        (String::new(), None),
        (REST_PREFIX.to_owned(), Some(Cause::RestPrefix)),
        ("/rest".to_owned(), Some(Cause::RestPrefix)),
    ];
    if let Some(host) = &request.host {
        let with_host = |scheme| (format!("{scheme}{host}{REST_PREFIX}"), Some(Cause::Host));
        prefixes.extend(["", "https://", "http://"].map(with_host));
    }
    let mut variants = vec![
        variant(resource.as_str(), &[]),
        variant("", &[Cause::PathMissing]),
        variant(resource.replace("//", "/"), &[Cause::DoubleSlash]),
        variant(format!("{resource} "), &[Cause::PathWhiteSpace]),
        variant(resource.trim_end(), &[Cause::PathWhiteSpace]),
    ];
    if resource.starts_with('/') {
        variants.push(variant(format!("/{resource}"), &[Cause::DoubleSlash]));
    }
    for (stem, encoding) in stems {
        let slash =
            if stem.ends_with('/') { stem.trim_end_matches('/').to_owned() } else { format!("{stem}/") };
        for (stem, slash) in [(stem, None), (slash.as_str(), Some(Cause::TrailingSlash))] {
            for (query, query_cause) in &queries {
                for (prefix, prefix_cause) in &prefixes {
                    let causes = [encoding, slash, *query_cause, *prefix_cause];
                    let causes: Vec<Cause> = causes.into_iter().flatten().collect();
                    let path = format!("{prefix}{stem}{query}");
                    if let Some(path) = path.strip_prefix('/') {
                        variants.push(variant(path, &[causes.as_slice(), &[Cause::LeadingSlash]].concat()));
                    }
                    variants.push(variant(path, &causes));
                }
            }
        }
    }
    distinct(variants)
}

/// Returns every order of the numbers below `count`.
pub(super) fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for number in 0..count {
        let insert = |order: Vec<usize>| {
            (0..=order.len()).rev().map(move |position| {
                let mut longer = order.clone();
                longer.insert(position, number);
                longer
            })
        };
        orders = orders.into_iter().flat_map(insert).collect();
    }
    orders
}
