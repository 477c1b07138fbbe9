//! The rows of a bulk run: CSV with a header line, or JSON lines.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::lifecycle::{NewToken, all_problems};
use crate::model::{TokenStatus, TokenType};
use crate::tag::Tag;
use crate::tokens::{AddToken, Admin};

/// Reads every row; what is wrong with any of them is told at once, with line numbers.
pub(super) fn read(file: Option<&Path>) -> Result<Vec<NewToken>> {
    let path = file.filter(|path| *path != Path::new("-"));
    let name = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let mut bytes = Vec::new();
    match path {
        Some(path) => std::fs::read(path).map(|read| bytes = read),
        None => std::io::stdin().read_to_end(&mut bytes).map(drop),
    }
    .map_err(|error| Error::argument(format!("cannot read {name}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Error::argument(format!("{name} is not UTF-8 text")))?;
    // A mark that some editors put before the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);

    let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str());
    let is_json = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("jsonl" | "ndjson") => true,
        Some("csv") => false,
        _ => text.trim_start().starts_with('{'),
    };
    let rows = if is_json { json_lines(text) } else { csv_rows(text)? };
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for (line, row) in rows {
        match row.and_then(Row::token) {
            Ok(token) => good.push(NewToken { token, line }),
            Err(error) => problems.push(format!("line {line}: {error}")),
        }
    }
    match all_problems(&problems) {
        Some(message) => Err(Error::argument(format!("{name} is not accepted:\n{message}"))),
        None => Ok(good),
    }
}

/// A row as it stands there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(alias = "admin")]
    admin_id: Value,
    note: Option<String>,
    status: Option<Value>,
    r#type: Option<String>,
}

/// A number or a text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a value is neither a whole number nor a text")]
enum Value {
    Number(i64),
    Text(String),
}

impl Row {
    fn token(self) -> Result<AddToken> {
        let admin = match self.admin_id {
            Value::Number(id) => Admin::Id(id),
            Value::Text(name) => name.parse()?,
        };
        admin.check()?;
        Tag::check_note(self.note.as_deref())?;
        let status = match self.status {
            None => TokenStatus::Enabled,
            Some(Value::Number(number)) => TokenStatus::parse_number(number)?,
            Some(Value::Text(word)) => match word.parse() {
                Ok(number) => TokenStatus::parse_number(number)?,
                Err(_) => TokenStatus::parse_word(&word)?,
            },
        };
        let r#type = self.r#type.map_or(Ok(TokenType::Lmv1), |word| TokenType::parse(&word))?;
        Ok(AddToken { admin, note: self.note.filter(|note| !note.is_empty()), status, r#type })
    }
}

type Rows = Vec<(u64, Result<Row>)>;

fn json_lines(text: &str) -> Rows {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let read = |line: &str| {
        serde_json::from_str(line).map_err(|error| {
            let text = error.to_string();
            let what = text.rfind(" at line ").and_then(|end| text.get(..end)).unwrap_or(&text);
            let column = error.column();
            Error::argument(format!(
                "column {column}: {what}; accepted are objects with admin_id, note, status and type"
            ))
        })
    };
    lines.map(|(number, line)| (number, read(line))).collect()
}

fn csv_rows(text: &str) -> Result<Rows> {
    const ACCEPTED: &str =
        "accepted is a header line that names admin_id and, where wanted, note, status and type";
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|error| Error::argument(format!("{error}; {ACCEPTED}")))?.clone();
    let names: Vec<String> = headers.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    for name in &names {
        if !["admin_id", "admin", "note", "status", "type"].contains(&name.as_str()) {
            return Err(Error::argument(format!("column {name:?} is not known: {ACCEPTED}")));
        }
    }
    for (at, name) in names.iter().enumerate() {
        let canonical = |name: &str| if name == "admin" { "admin_id".to_owned() } else { name.to_owned() };
        if names.iter().take(at).any(|other| canonical(other) == canonical(name)) {
            return Err(Error::argument(format!("column {name:?} is there twice: {ACCEPTED}")));
        }
    }
    let column = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
    let Some(admin) = column(&["admin_id", "admin"]) else {
        return Err(Error::argument(format!("there is no column admin_id: {ACCEPTED}")));
    };
    let (note, status, r#type) = (column(&["note"]), column(&["status"]), column(&["type"]));
    let mut rows = Vec::new();
    for (number, record) in (2..).zip(reader.records()) {
        let (line, row) = match record {
            Ok(record) => {
                let cell = |at: Option<usize>| {
                    at.and_then(|at| record.get(at)).filter(|text| !text.is_empty()).map(str::to_owned)
                };
                let word = |at| cell(at).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
                let row = Row {
                    admin_id: Value::Text(word(Some(admin)).unwrap_or_default()),
                    note: cell(note),
                    status: word(status).map(Value::Text),
                    r#type: word(r#type),
                };
                (record.position().map_or(number, csv::Position::line), Ok(row))
            }
            Err(error) => {
                let line = error.position().map_or(number, csv::Position::line);
                (line, Err(Error::argument(error.to_string())))
            }
        };
        rows.push((line, row));
    }
    Ok(rows)
}
