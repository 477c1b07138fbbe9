//! The input of a bulk run: CSV with a header line, or JSON lines.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::ids::{AdminId, Note, Status, Type};
use crate::lifecycle::{Row, all_problems};
use crate::tokens::{NewToken, User};

/// Reads all rows. The error lists every invalid one, with its line number.
pub(super) fn read(file: Option<&Path>) -> Result<Vec<Row>> {
    let path = file.filter(|path| *path != Path::new("-"));
    let name = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let text = text(path, &name)?;
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);

    let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str());
    let is_json = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("jsonl" | "ndjson") => true,
        Some("csv") => false,
        _ => text.trim_start().starts_with('{'),
    };
    let records = if is_json { json_lines(text) } else { csv_records(text)? };
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for (line, record) in records {
        match record.and_then(Record::token) {
            Ok(token) => rows.push(Row { token, line }),
            Err(error) => problems.push(format!("line {line}: {error}")),
        }
    }
    match all_problems(&problems) {
        Some(message) => Err(Error::argument(format!("invalid rows in {name}:\n{message}"))),
        None if rows.is_empty() => Err(Error::argument(format!("{name} contains no rows"))),
        None => Ok(rows),
    }
}

fn text(path: Option<&Path>, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let read = match path {
        Some(path) => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
        None => std::io::stdin().read_to_end(&mut bytes),
    };
    read.map_err(|error| Error::argument(format!("cannot read {name}: {error}")))?;
    String::from_utf8(bytes).map_err(|_| Error::argument(format!("{name} is not valid UTF-8")))
}

/// A row before its values are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(alias = "admin")]
    admin_id: Value,
    note: Option<String>,
    status: Option<Value>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a whole number or a string")]
enum Value {
    Number(i64),
    Text(String),
}

impl Record {
    fn token(self) -> Result<NewToken> {
        let admin = match self.admin_id {
            Value::Number(id) => User::Id(AdminId::new(id)?),
            Value::Text(name) => name.parse()?,
        };
        let status = match self.status {
            None => Status::Enabled,
            Some(Value::Number(number)) => Status::from_number(number)?,
            Some(Value::Text(word)) => match word.parse() {
                Ok(number) => Status::from_number(number)?,
                Err(_) => word.parse()?,
            },
        };
        let note = self.note.filter(|note| !note.is_empty()).map(Note::new).transpose()?;
        let r#type = self.r#type.map_or(Ok(Type::Lmv1), |word| word.parse())?;
        Ok(NewToken { admin, note, status, r#type })
    }
}

/// The records with their line numbers.
type Records = Vec<(u64, Result<Record>)>;

fn json_lines(text: &str) -> Records {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number, json_record(line))).collect()
}

fn json_record(line: &str) -> Result<Record> {
    if !line.trim_start().starts_with('{') {
        return Err(Error::argument(
            "not a JSON object; expected one with admin_id and optionally note, status and type",
        ));
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

fn csv_records(text: &str) -> Result<Records> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| Error::argument(csv_problem(&error)))?;
    let columns = Columns::of(header)?;
    let mut records = Vec::new();
    for (number, record) in (2..).zip(reader.records()) {
        let (position, record) = match record {
            Ok(record) => (record.position().cloned(), Ok(columns.record(&record))),
            Err(error) => (error.position().cloned(), Err(Error::argument(csv_problem(&error)))),
        };
        records.push((position.map_or(number, |position| position.line()), record));
    }
    Ok(records)
}

/// Returns what is wrong, without the record and byte numbers of the library's message.
fn csv_problem(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields; expected {expected_len}, as in the header line")
        }
        _ => error.to_string(),
    }
}

/// The positions of the columns.
struct Columns {
    admin: usize,
    note: Option<usize>,
    status: Option<usize>,
    r#type: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self> {
        let (mut admin, mut note, mut status, mut r#type) = (None, None, None, None);
        for (at, name) in header.iter().enumerate() {
            let column = match name.trim().to_ascii_lowercase().as_str() {
                "admin_id" | "admin" => &mut admin,
                "note" => &mut note,
                "status" => &mut status,
                "type" => &mut r#type,
                _ => return Err(Self::invalid(&format!("unknown column {name:?}"))),
            };
            if column.replace(at).is_some() {
                return Err(Self::invalid(&format!("duplicate column {name:?}")));
            }
        }
        let admin = admin.ok_or_else(|| Self::invalid("no column admin_id"))?;
        Ok(Self { admin, note, status, r#type })
    }

    fn invalid(problem: &str) -> Error {
        Error::argument(format!(
            "{problem}; expected a header line with admin_id and optionally note, status and type"
        ))
    }

    fn record(&self, fields: &csv::StringRecord) -> Record {
        let field = |column: usize| fields.get(column).unwrap_or_default();
        let word = |column: usize| Some(field(column).trim().to_owned()).filter(|word| !word.is_empty());
        Record {
            admin_id: Value::Text(word(self.admin).unwrap_or_default()),
            note: self.note.map(|column| field(column).to_owned()),
            status: self.status.and_then(word).map(Value::Text),
            r#type: self.r#type.and_then(word),
        }
    }
}
