//! The seal at the end of each line: the line's number, and a checksum over the run id and the line.
//!
//! It shows damage, and lines that are missing, repeated, moved or of another journal. Anyone who can write the file
//! can also seal a line; therefore a resumed run compares every token with the portal.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The bytes of a checksum that are kept.
const CHECK_BYTES: usize = 8;

const CHECK: &str = ",\"check\":\"";
const END: &str = "\"}";

/// Returns a JSON object as the line with this number, its newline included.
pub(super) fn seal(run: &str, number: u64, object: &str) -> Zeroizing<String> {
    let members = object.strip_suffix('}').unwrap_or(object);
    let mut line = Zeroizing::new(String::with_capacity(members.len() + 64));
    line.push_str(members);
    line.push_str(",\"line\":");
    line.push_str(&number.to_string());
    let check = check(run, line.as_bytes());
    line.push_str(CHECK);
    line.push_str(&check);
    line.push_str(END);
    line.push('\n');
    line
}

/// Returns the number of a line without its newline; `None` unless its seal is intact.
pub(super) fn number(run: &str, line: &[u8]) -> Option<u64> {
    let rest = line.strip_suffix(END.as_bytes())?;
    let (rest, found) = rest.split_at_checked(rest.len().checked_sub(2 * CHECK_BYTES)?)?;
    let sealed = rest.strip_suffix(CHECK.as_bytes())?;
    if check(run, sealed).as_bytes() != found {
        return None;
    }
    let digits = sealed.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (_, number) = sealed.split_at_checked(sealed.len() - digits)?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Returns the beginning of the SHA-256 of the parts, in hexadecimal digits.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let first = hash.finalize().first_chunk::<CHECK_BYTES>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    format!("{first:016x}")
}

fn check(run: &str, sealed: &[u8]) -> String {
    digest(&[run.as_bytes(), sealed])
}
