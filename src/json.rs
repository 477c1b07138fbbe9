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

/// Returns the JSON with U+FFFD for each half of a surrogate pair without its other half, which a Rust string cannot
/// hold. Software that cuts a text in the middle of a character writes them.
pub(crate) fn without_lone_surrogates(json: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(at) = json.get(from..).and_then(|rest| rest.find('\\')).map(|at| from + at) {
        let (first, second) = (surrogate(json, at), surrogate(json, at + ESCAPE));
        from = match (first, second) {
            // A pair, or an escape of another kind.
            (Some(Half::High), Some(Half::Low)) => at + 2 * ESCAPE,
            (None, _) => at + 2,
            (Some(_), _) => {
                mended.push_str(json.get(copied..at).unwrap_or_default());
                mended.push_str(r"\ufffd");
                copied = at + ESCAPE;
                copied
            }
        };
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    mended.push_str(json.get(copied..).unwrap_or_default());
    Cow::Owned(mended)
}

/// The length of an escape such as `\ud83d`.
const ESCAPE: usize = 6;

enum Half {
    High,
    Low,
}

/// Returns which half of a surrogate pair the escape at a position is.
fn surrogate(json: &str, at: usize) -> Option<Half> {
    let digits = json.get(at..at + ESCAPE)?.strip_prefix("\\u")?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}
