//! Reading commands and settings from JSON, with errors that name the argument as the caller wrote it.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::error::Error;

/// The most characters of a value that an error repeats.
const SHOWN_CHARACTERS: usize = 80;

/// The member by which Python sends a value that JSON cannot express, such as a NaN: its `repr`, for the error.
const REPR: &str = "repr";

/// Reads a value from JSON; `name` is what errors call the value as a whole.
pub(crate) fn read<T: DeserializeOwned>(name: &str, json: &[u8]) -> Result<T, Error> {
    let value: Value = serde_json::from_slice(json)
        .map_err(|cause| Error::argument(format!("the {name} is not valid JSON: {cause}")))?;
    read_value(name, &value)
}

/// Reads a value from parsed JSON.
pub(super) fn read_value<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, Error> {
    T::deserialize(Argument(value)).map_err(|problem| problem.named(name, value))
}

/// Replaces serde's name of an argument's type by what the argument accepts.
pub(super) fn expecting<T, E: de::Error>(result: Result<T, E>, expected: &'static str) -> Result<T, E> {
    result.map_err(|_| E::invalid_value(Unexpected::Other("value"), &expected))
}

/// The reason why a value cannot be used.
#[derive(Debug)]
enum Problem {
    /// The value needs the name of its argument, which only its parent knows.
    Unnamed { expected: String },
    /// The complete error.
    Complete(Error),
}

impl Problem {
    fn named(self, name: &str, value: &Value) -> Error {
        match self {
            Self::Unnamed { expected } => Error::invalid(name, shown(value), expected),
            Self::Complete(error) => error,
        }
    }
}

/// The value as an error repeats it.
fn shown(value: &Value) -> String {
    let text = match value.get(REPR) {
        Some(Value::String(text)) => text.clone(),
        _ => value.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text,
    }
}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Complete(Error::argument(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Unnamed { expected: in_words(expected) }
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Unnamed { expected: in_words(expected) }
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Unnamed { expected: alternatives(expected) }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::Complete(Error::argument(format!(
            "unknown argument {field}; expected {}",
            alternatives(expected)
        )))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Complete(Error::argument(format!("missing argument {field}")))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed { expected } => write!(f, "expected {expected}"),
            Self::Complete(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Problem {}

/// Replaces Rust's names of types by words.
fn in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    match expected.as_str() {
        "u16" => whole_number(u16::MIN, u16::MAX),
        "u32" => whole_number(u32::MIN, u32::MAX),
        "u64" => whole_number(u64::MIN, u64::MAX),
        "i64" => whole_number(i64::MIN, i64::MAX),
        "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        text if text.starts_with("struct ") => "an object".to_owned(),
        _ => expected,
    }
}

fn whole_number(lowest: impl fmt::Display, highest: impl fmt::Display) -> String {
    format!("a whole number from {lowest} to {highest}")
}

fn alternatives(words: &[&str]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// A JSON value whose errors are a [`Problem`].
#[derive(Clone, Copy)]
struct Argument<'a>(&'a Value);

impl<'de> Deserializer<'de> for Argument<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter().map(Argument))),
            Value::Object(members) => visitor.visit_map(Members::of(members)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        match self.0 {
            Value::String(word) => visitor.visit_enum(StrDeserializer::new(word)),
            Value::Object(members) => visitor.visit_enum(MapAccessDeserializer::new(Members::of(members))),
            _ => Err(Problem::Unnamed { expected: alternatives(variants) }),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Problem> for Argument<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The members of a JSON object; names what is wrong with their values.
struct Members<'a> {
    rest: serde_json::map::Iter<'a>,
    next: Option<(&'a String, &'a Value)>,
}

impl<'a> Members<'a> {
    fn of(members: &'a Map<String, Value>) -> Self {
        Self { rest: members.iter(), next: None }
    }
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        self.next = self.rest.next();
        self.next.map(|(name, _)| seed.deserialize(StrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Problem> {
        let Some((name, value)) = self.next.take() else {
            return Err(de::Error::custom("the value of a member was read before its name"));
        };
        seed.deserialize(Argument(value)).map_err(|problem| Problem::Complete(problem.named(name, value)))
    }
}
