//! Tolerant reading of JSON that a portal sent, without a tree of its values.
//!
//! A hostile body has millions of values. Everything that is not asked for is skipped in place, and a member of an
//! unexpected type is `None` instead of an error, so that one odd value does not hide the others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A member of an object as it was written, if the object has it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Member<'a>(Option<&'a str>);

impl<'a> Member<'a> {
    /// Returns a value that is an item of an array.
    pub(crate) fn of(json: &'a str) -> Self {
        Self(Some(json))
    }

    /// Returns whether the object has the member, even if it is null.
    pub(crate) fn is_given(self) -> bool {
        self.0.is_some()
    }

    /// Returns whether the member is missing or null.
    pub(crate) fn is_null(self) -> bool {
        self.0.is_none_or(|raw| raw == "null")
    }

    /// Returns the JSON of the member.
    pub(crate) fn raw(self) -> Option<&'a str> {
        self.0
    }

    /// Returns a string.
    pub(crate) fn text(self) -> Option<String> {
        self.0.filter(|raw| raw.starts_with('"')).and_then(|raw| serde_json::from_str(raw).ok())
    }

    /// Returns an integer, written as a number without fraction and exponent or as a string of one.
    pub(crate) fn integer(self) -> Option<i64> {
        self.number_text()?.trim().parse().ok()
    }

    /// Returns a whole number in any notation, as a number or a string.
    pub(crate) fn whole_number(self) -> Option<i64> {
        self.integer().or_else(|| self.number().filter(|number| number.fract() == 0.0).and_then(floor))
    }

    /// Returns the largest integer that is not above a number in any notation, as a number or a string.
    pub(crate) fn floor(self) -> Option<i64> {
        self.integer().or_else(|| self.number().and_then(floor))
    }

    /// Returns a number, which may be infinite.
    fn number(self) -> Option<f64> {
        self.number_text()?.trim().parse().ok()
    }

    fn number_text(self) -> Option<Cow<'a, str>> {
        match self.0?.as_bytes().first()? {
            b'"' => self.text().map(Cow::Owned),
            b'-' | b'0'..=b'9' => self.0.map(Cow::Borrowed),
            _ => None,
        }
    }
}

/// Rounds a number down; `None` if it is too large for a float to tell it from its neighbours.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
fn floor(number: f64) -> Option<i64> {
    const EXACT_TO: f64 = 9_007_199_254_740_992.0;
    (number.abs() < EXACT_TO).then(|| number.floor() as i64)
}

/// Returns the named members of an object; `None` if the JSON is another value. A repeated member has its last value.
pub(crate) fn members<'a, const N: usize>(
    json: &'a str,
    names: [&'static str; N],
) -> serde_json::Result<Option<[Member<'a>; N]>> {
    read(json, Members(names))
}

/// Calls `visit` with each item of an array and returns their number; null is an empty array. `None` if the JSON is
/// another value.
pub(crate) fn items<'a>(json: &'a str, visit: impl FnMut(&'a str)) -> Option<usize> {
    read(json, Items(visit)).ok().flatten()
}

fn read<'a, S: DeserializeSeed<'a>>(json: &'a str, seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// Implements the visits of values that a visitor does not read.
macro_rules! other_values_are_none {
    ($($visit:ident($($value:ty)?))*) => {
        $(fn $visit<E>(self $(, _: $value)?) -> Result<Self::Value, E> {
            Ok(None)
        })*
    };
}

struct Members<const N: usize>([&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Members<N> {
    type Value = Option<[Member<'de>; N]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Members<N> {
    type Value = Option<[Member<'de>; N]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [Member::default(); N];
        while let Some(position) = map.next_key_seed(Name(&self.0))? {
            match position.and_then(|position| found.get_mut(position)) {
                Some(member) => *member = Member(Some(map.next_value::<&RawValue>()?.get())),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(found))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    other_values_are_none! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) visit_unit() }
}

/// The name of a member, as its position in a list of names.
struct Name<'n>(&'n [&'static str]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|known| *known == name))
    }
}

struct Items<F>(F);

impl<'de, F: FnMut(&'de str)> DeserializeSeed<'de> for Items<F> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Items<F> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut received = 0;
        while let Some(item) = items.next_element::<&RawValue>()? {
            received += 1;
            (self.0)(item.get());
        }
        Ok(Some(received))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(0))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    other_values_are_none! { visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) }
}

/// Returns the JSON with what is invalid inside of its values mended, so that one odd value does not hide the others. In
/// strings, U+FFFD replaces half of a surrogate pair, which software writes that cuts a text in a character, and the
/// backslash of an unknown escape; control characters are escaped. Numbers that JSON does not have (`NaN`) become strings,
/// which no number is read from, except if they are the whole JSON.
pub(crate) fn mended(json: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let (mut copied, mut at) = (0, 0);
    let mut is_in_string = false;
    while let Some(byte) = json.as_bytes().get(at) {
        let (length, replacement) = match byte {
            b'"' => {
                is_in_string = !is_in_string;
                (1, None)
            }
            b'\\' if is_in_string => match escape(json, at) {
                (length, true) => (length, None),
                (length, false) => (length, Some(r"\ufffd".to_owned())),
            },
            0..=0x1f if is_in_string => (1, Some(format!("\\u{byte:04x}"))),
            b'N' | b'I' | b'-' if !is_in_string && at > 0 => match not_a_number(json, at) {
                Some(word) => (word.len(), Some(format!("\"{word}\""))),
                None => (1, None),
            },
            _ => (1, None),
        };
        if let Some(replacement) = replacement {
            mended.push_str(json.get(copied..at).unwrap_or_default());
            mended.push_str(&replacement);
            copied = at + length;
        }
        at += length;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    mended.push_str(json.get(copied..).unwrap_or_default());
    Cow::Owned(mended)
}

fn not_a_number(json: &str, at: usize) -> Option<&'static str> {
    ["NaN", "Infinity", "-Infinity"]
        .into_iter()
        .find(|word| json.get(at..).is_some_and(|rest| rest.starts_with(word)))
}

/// Returns the length of the escape at a position, and whether it stands for a character.
fn escape(json: &str, at: usize) -> (usize, bool) {
    /// The length of an escape such as `\ud83d`.
    const UNICODE: usize = 6;
    match json.as_bytes().get(at + 1) {
        // The JSON ends here, and stays invalid.
        None => (1, true),
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => (2, true),
        Some(b'u') => match (code_unit(json, at), code_unit(json, at + UNICODE)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (2 * UNICODE, true),
            (Some(0xd800..=0xdfff), _) => (UNICODE, false),
            (Some(_), _) => (UNICODE, true),
            (None, _) => (1, false),
        },
        Some(_) => (1, false),
    }
}

/// Returns the UTF-16 code unit of an escape such as `\ud83d` at a position.
fn code_unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}
