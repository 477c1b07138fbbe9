//! A row as a JSON object.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Error, Result};
use crate::lifecycle::{Cell, Column};

/// The members of an object, with their values as they are written.
pub(super) struct Object<'a>(pub(super) Vec<(String, &'a RawValue)>);

/// Reads a line.
pub(super) fn object(line: &str) -> Result<Object<'_>> {
    if line.trim_start().starts_with('[') {
        return Err(Error::argument("a JSON array; expected JSON lines, with one object per line"));
    }
    if !line.trim_start().starts_with('{') {
        return Err(Error::argument(format!(
            "not a JSON object; expected one object per line, with {}",
            Column::EXPECTED
        )));
    }
    serde_json::from_str(line).map_err(|error| {
        if error.is_eof() {
            return Error::argument("the JSON object is incomplete");
        }
        Error::argument(format!("{} (column {})", problem(&error), error.column()))
    })
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Object(members))
    }
}

/// Returns the value of a column of a token.
pub(super) fn cell(column: Column, value: &RawValue) -> Result<Option<Cell>> {
    let given = match serde_json::from_str(value.get()).map_err(|error| Error::argument(problem(&error)))? {
        Value::Null => return Ok(None),
        Value::String(text) => return Ok(Some(Cell::Text(text))),
        Value::Number(number) => match number.as_i64() {
            Some(number) => return Ok(Some(Cell::Number(number))),
            None => number.to_string(),
        },
        Value::Bool(flag) => flag.to_string(),
        Value::Array(_) => "[…]".to_owned(),
        Value::Object(_) => "{…}".to_owned(),
    };
    Err(Error::invalid(column.as_str(), given, column.expected()))
}

/// Returns the text of a value: a string, nothing for null, or the JSON of any other value.
pub(super) fn text(value: &RawValue) -> Result<String> {
    match value.get() {
        "null" => Ok(String::new()),
        string if string.starts_with('"') => {
            serde_json::from_str(string).map_err(|error| Error::argument(problem(&error)))
        }
        other => Ok(other.to_owned()),
    }
}

/// Returns the library's message without the place: the line number is always 1.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").and_then(|end| text.get(..end)).unwrap_or(&text).to_owned()
}
