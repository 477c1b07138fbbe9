//! The input of a bulk run: CSV with a header line, or JSON lines.

mod csv;
mod json;

use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::lifecycle::{Cell, Cells, Column, HEADER, Row, all_problems};

/// Enough for a million rows with long notes. A device or a pipe may have no end.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The rows of an input.
#[derive(Default)]
pub(super) struct Input {
    pub(super) rows: Vec<Row>,
    /// The names of other columns, each once.
    pub(super) ignored: Vec<String>,
}

/// Reads all rows. The error lists every invalid one, with its line number.
pub(super) fn read(file: Option<&Path>) -> Result<Input> {
    let path = file.filter(|path| *path != Path::new("-"));
    let name = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let text = text(path, &name)?;
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);

    let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str());
    let is_json = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("jsonl" | "ndjson" | "json") => true,
        Some("csv") => false,
        _ => text.trim_start().starts_with(['{', '[']),
    };
    let mut reader = Reader::default();
    if let Some((line, _)) = lines(text).find(|(_, line)| line.contains('\0')) {
        reader.problem(line, "a NUL character; expected text in UTF-8 (is this UTF-16?)");
    } else if is_json {
        reader.json_lines(text);
    } else {
        reader.csv(text);
    }
    match all_problems(&reader.problems) {
        Some(message) => Err(Error::argument(format!("invalid rows in {name}:\n{message}"))),
        None if reader.input.rows.is_empty() => Err(Error::argument(format!("{name} contains no rows"))),
        None => Ok(reader.input),
    }
}

fn text(path: Option<&Path>, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let read = match path {
        Some(path) => {
            std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        }
        None => std::io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes),
    };
    read.map_err(|error| Error::argument(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        let limit = MAX_BYTES / 1024 / 1024;
        return Err(Error::argument(format!(
            "{name} is larger than {limit} MiB; split it into several runs"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = lines(&String::from_utf8_lossy(valid)).count();
        Error::argument(format!("{name} is not valid UTF-8: line {line}; expected text in UTF-8"))
    })
}

/// Returns the lines with their numbers. They end with LF, CR LF or CR.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')))
}

#[derive(Default)]
struct Reader {
    input: Input,
    problems: Vec<String>,
}

impl Reader {
    fn problem(&mut self, line: u64, problem: impl std::fmt::Display) {
        self.problems.push(format!("line {line}: {problem}"));
    }

    fn row(&mut self, line: u64, cells: Cells) {
        match cells.token() {
            Ok(token) => self.input.rows.push(Row { token, line }),
            Err(error) => self.problem(line, error),
        }
    }

    fn json_lines(&mut self, text: &str) {
        for (line, text) in lines(text).filter(|(_, text)| !text.trim().is_empty()) {
            let object = json::object(text).and_then(|object| {
                check_names(|column| object.cells.has(column), &object.others, Column::EXPECTED)?;
                Ok(object)
            });
            match object {
                Ok(object) => {
                    self.ignore(object.others);
                    self.row(line, object.cells);
                }
                Err(error) => self.problem(line, error),
            }
        }
    }

    fn csv(&mut self, text: &str) {
        let mut records = csv::Records::of(text);
        let (line, header) = records.next().unwrap_or((1, Ok(Vec::new())));
        let names = header.clone().unwrap_or_default();
        let columns = header.map_err(Error::argument).and_then(|header| self.columns(header));
        let columns = match columns {
            Ok(columns) => columns,
            Err(error) => return self.problem(line, error),
        };
        for (line, fields) in records {
            match fields {
                Ok(fields) if fields.len() == columns.len() => {
                    let (mut cells, mut has_name) = (Cells::default(), false);
                    for ((column, name), field) in columns.iter().zip(&names).zip(fields) {
                        match column {
                            // The header has each column once.
                            Some(column) => _ = cells.add(*column, Some(Cell::Text(field))),
                            None => has_name |= is_name(&field, name),
                        }
                    }
                    if has_name && cells.has_user_name() {
                        self.problem(line, HEADER);
                    } else {
                        self.row(line, cells);
                    }
                }
                Ok(fields) => {
                    let (fields, expected) = (fields.len(), columns.len());
                    let plural = if fields == 1 { "" } else { "s" };
                    self.problem(
                        line,
                        format_args!("{fields} field{plural}; expected {expected}, as in the header line"),
                    );
                }
                Err(problem) => self.problem(line, problem),
            }
        }
    }

    /// Returns the column at each position of a header line.
    fn columns(&mut self, header: Vec<String>) -> Result<Vec<Option<Column>>> {
        let expected = format!("a header line with {}, separated by commas", Column::EXPECTED);
        let columns: Vec<_> = header.iter().map(|name| Column::of(name)).collect();
        for column in Column::ORDER {
            if columns.iter().filter(|known| **known == Some(column)).count() > 1 {
                let name = column.as_str();
                return Err(Error::argument(format!("duplicate column {name}; expected {expected}")));
            }
        }
        let others = header.into_iter().filter(|name| Column::of(name).is_none()).collect::<Vec<_>>();
        check_names(|column| columns.contains(&Some(column)), &others, &expected)?;
        self.ignore(others);
        Ok(columns)
    }

    fn ignore(&mut self, names: Vec<String>) {
        for name in names {
            if !self.input.ignored.contains(&name) {
                self.input.ignored.push(name);
            }
        }
    }
}

/// Returns whether the field of another column is a name, as in the header of a file that was joined to this one.
fn is_name(field: &str, name: &str) -> bool {
    let field = field.trim();
    !field.is_empty() && field.eq_ignore_ascii_case(name.trim()) || Column::of(field) == Some(Column::AdminId)
}

/// Fails if a column is missing and another may be meant, or if the users are missing.
fn check_names(has: impl Fn(Column) -> bool, others: &[String], expected: &str) -> Result<()> {
    for name in others {
        if Column::resembling(name).is_some_and(|column| !has(column)) {
            return Err(Error::argument(format!("{}; expected {expected}", Column::unknown(name))));
        }
        if name.trim().eq_ignore_ascii_case("expires") {
            // If it were ignored, tokens that should expire would not.
            return Err(Error::argument(format!("column {name:?} is not supported; expected {expected}")));
        }
    }
    if has(Column::AdminId) {
        return Ok(());
    }
    let unknown =
        if others.is_empty() { String::new() } else { format!("; unknown columns: {}", listed(others)) };
    Err(Error::argument(format!("no column admin_id{unknown}; expected {expected}")))
}

/// Returns names for a message.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}
