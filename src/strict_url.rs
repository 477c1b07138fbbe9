//! Parsing of URLs that may hold a secret.
//!
//! The `url` crate repairs what is not a URL, as browsers do: in `http://svc:20\\24@proxy`, it finds the host `svc`, and
//! the rest of the password in a path. Such a host would be looked up by name servers and shown in messages. Here, a URL
//! is refused if it contains characters or escapes that RFC 3986 does not allow, or if its user name, password, host or
//! port depends on a repair. Only its path may differ from the given one, by `.` and `..`.

use url::{Host, Url};

/// Returns the URL if it is one by RFC 3986, with a scheme and a host, else `None`: a caller must not repeat it.
///
/// In user name and password, only letters, digits, `-._~!$&'()*+,;=:` and percent escapes are accepted. An `@` after
/// the host is valid, but what precedes it may be a password: check for it before you show a part of the URL.
pub(crate) fn parse(text: &str) -> Option<Url> {
    let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if !text.bytes().all(is_visible) || !has_valid_escapes(text) {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let has_valid_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user_info, host) = authority.split_once('@').unwrap_or(("", authority));
    if !has_valid_scheme || !user_info.bytes().all(is_of_user_info) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    (is_unchanged(host, &url)).then_some(url)
}

/// As [`parse`], for the text before the first of `ends` after `://`. What follows is not part of the host, and may be
/// anything.
pub(crate) fn parse_until(text: &str, ends: &[char]) -> Option<Url> {
    let (scheme, rest) = text.split_once("://")?;
    let length = rest.find(ends).map_or(text.len(), |end| scheme.len() + "://".len() + end);
    parse(text.get(..length)?)
}

/// Returns whether every percent sign begins an escape.
fn has_valid_escapes(text: &str) -> bool {
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    text.split('%').skip(1).all(is_escape)
}

fn is_of_user_info(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(&byte)
}

/// Returns whether the parsed URL has the host and the port that were given, except for upper case.
fn is_unchanged(given: &str, url: &Url) -> bool {
    let has_port = given.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
    let (host, port) = has_port.map_or((given, None), |(host, port)| (host, Some(port)));
    let same_host = match url.host() {
        Some(Host::Ipv6(address)) => {
            let given = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            given.and_then(|given| given.parse().ok()) == Some(address)
        }
        // 0x7f.1 is an address to the `url` crate.
        Some(_) => {
            url.host_str().is_some_and(|parsed| parsed.eq_ignore_ascii_case(host))
                && host.bytes().all(is_of_host)
        }
        None => false,
    };
    let same_port = port.is_none_or(|port| {
        port != "0" && url.port_or_known_default().is_some_and(|parsed| parsed.to_string() == port)
    });
    same_host && same_port
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}
