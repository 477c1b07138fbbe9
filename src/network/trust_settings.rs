//! The settings after a certificate in a PEM block with the label TRUSTED CERTIFICATE: for which purposes OpenSSL trusts
//! it. What is not understood allows nothing.

/// The tags of DER elements.
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const OCTET_STRING: u8 = 0x04;
const REJECTED_PURPOSES: u8 = 0xa0;
const OTHER_SETTINGS: u8 = 0xa1;

/// The purposes serverAuth and anyExtendedKeyUsage, as object identifiers.
const OF_SERVERS: [&[u8]; 2] = [b"\x2b\x06\x01\x05\x05\x07\x03\x01", b"\x55\x1d\x25\x00"];

/// An element of DER.
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// What follows it.
    pub(super) rest: &'a [u8],
}

/// Returns the first element.
pub(super) fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&[tag, first], mut rest) = der.split_first_chunk()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some(Element { tag, content, rest })
}

/// Returns whether a certificate with these settings, which may be empty, is trusted to issue certificates of servers.
pub(super) fn allow_servers(settings: &[u8]) -> bool {
    settings.is_empty() || read(settings).unwrap_or(false)
}

/// Reads a sequence of optional members: trusted purposes, rejected purposes, a name, a key id, and others.
fn read(settings: &[u8]) -> Option<bool> {
    const ORDER: [u8; 5] = [SEQUENCE, REJECTED_PURPOSES, UTF8_STRING, OCTET_STRING, OTHER_SETTINGS];
    let members = elements(settings)?;
    let [Element { tag: SEQUENCE, content, .. }] = members.as_slice() else { return None };
    let members = elements(content)?;
    let mut remaining = ORDER.iter();
    if !members.iter().all(|member| remaining.any(|tag| *tag == member.tag)) {
        return None;
    }
    let purposes = |tag: u8| {
        let member = members.iter().find(|member| member.tag == tag);
        member.map(|member| elements(member.content)).map_or(Some(None), |list| list.map(Some))
    };
    let (trusted, rejected) = (purposes(SEQUENCE)?, purposes(REJECTED_PURPOSES)?);
    let lists = [&trusted, &rejected];
    if lists.into_iter().flatten().flatten().any(|purpose| purpose.tag != OBJECT_IDENTIFIER) {
        return None;
    }
    let is_of_servers = |purpose: &Element<'_>| OF_SERVERS.contains(&purpose.content);
    let is_rejected = rejected.iter().flatten().any(is_of_servers);
    // Without a list of trusted purposes, every purpose is trusted that is not rejected.
    let is_trusted = trusted.is_none_or(|trusted| trusted.iter().any(is_of_servers));
    Some(is_trusted && !is_rejected)
}

/// Returns the elements that fill the bytes.
pub(super) fn elements(mut der: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let next = element(der)?;
        der = next.rest;
        found.push(next);
    }
    Some(found)
}
