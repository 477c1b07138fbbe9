//! A row as a JSON object.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::lifecycle::{Cell, Cells, Column};

/// A row, and the names of its members that are not columns.
pub(super) struct Object {
    pub(super) cells: Cells,
    pub(super) others: Vec<String>,
}

/// Reads a line.
pub(super) fn object(line: &str) -> Result<Object> {
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
        let column = error.column();
        // The line number in the library's message is always 1.
        let text = error.to_string();
        let problem = text.rfind(" at line ").and_then(|end| text.get(..end)).unwrap_or(&text);
        Error::argument(format!("{problem} (column {column})"))
    })
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object { cells: Cells::default(), others: Vec::new() };
        while let Some(name) = map.next_key::<String>()? {
            if let Some(column) = Column::of(&name) {
                let cell = cell(column, map.next_value()?);
                cell.and_then(|cell| object.cells.add(column, cell)).map_err(A::Error::custom)?;
            } else {
                map.next_value::<IgnoredAny>()?;
                object.others.push(name);
            }
        }
        Ok(object)
    }
}

fn cell(column: Column, value: Value) -> Result<Option<Cell>> {
    let given = match value {
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
