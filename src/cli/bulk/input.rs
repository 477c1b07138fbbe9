//! The input of a bulk run: CSV with a header line, or JSON lines.

mod csv;
mod delimiter;
mod encoding;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod json;
mod mapping;

use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::lifecycle::{Cell, Cells, Column, HEADER, Row, RowInput, all_problems};
pub(super) use delimiter::Delimiter;
pub(super) use mapping::Mapping;

/// Enough for a million rows with long notes. A device or a pipe may have no end.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The largest number of characters in a note or in a value of another column, which is that of Excel.
const MAX_CHARACTERS: usize = 32_767;

/// The largest number of characters in a name. Each row of the journal repeats those of other columns.
const MAX_NAME: usize = 255;

/// The largest number of bytes in a header line, which is read several times.
const MAX_HEADER: usize = 1024 * 1024;

/// The largest number of other columns with a name.
const MAX_COLUMNS: usize = 1000;

/// The rows of an input.
pub(super) struct Input {
    pub(super) rows: Vec<Row>,
    /// The names of other columns, each once.
    pub(super) others: Vec<String>,
}

/// Reads all rows. The error lists every invalid one, with its line number.
pub(super) fn read(
    file: Option<&Path>,
    delimiter: Option<Delimiter>,
    mapping: Vec<Mapping>,
) -> Result<Input> {
    Mapping::check(&mapping)?;
    let path = file.filter(|path| *path != Path::new("-"));
    let name = path.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str());
    parse(bytes(path, &name)?, &name, extension, delimiter, mapping)
}

/// Reads the rows in the bytes of a file with this extension.
fn parse(
    bytes: Vec<u8>,
    name: &str,
    extension: Option<&str>,
    delimiter: Option<Delimiter>,
    mapping: Vec<Mapping>,
) -> Result<Input> {
    let text = encoding::decode(bytes, name)?;
    let is_json = match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("jsonl" | "ndjson" | "json") => true,
        Some("csv" | "tsv") => false,
        _ => delimiter.is_none() && text.trim_start().starts_with(['{', '[']),
    };
    if is_json && delimiter.is_some() {
        return Err(Error::argument(format!("--delimiter is for CSV, and {name} is JSON lines")));
    }
    let mut reader = Reader { mapping, ..Reader::default() };
    if let Some((line, _)) = lines(&text).find(|(_, line)| line.contains('\0')) {
        reader.problem(line, "a NUL character; expected text in UTF-8 or UTF-16");
    } else if is_json {
        reader.json_lines(&text);
    } else if let Err((line, problem)) = reader.csv(&text, delimiter) {
        reader.problem(line, problem);
    }
    match all_problems(&reader.problems) {
        Some(message) => Err(Error::argument(format!("invalid rows in {name}:\n{message}"))),
        None if reader.rows.is_empty() => Err(Error::argument(format!("{name} contains no rows"))),
        None => Ok(Input { rows: reader.rows, others: reader.others.order }),
    }
}

fn bytes(path: Option<&Path>, name: &str) -> Result<Vec<u8>> {
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
    Ok(bytes)
}

/// Returns the lines with their numbers. They end with LF, CR LF or CR.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')))
}

/// Names in the order of their first use.
#[derive(Default)]
struct Names {
    order: Vec<String>,
    known: HashSet<String>,
}

impl Names {
    fn add(&mut self, name: &str) {
        if self.known.insert(name.to_owned()) {
            self.order.push(name.to_owned());
        }
    }
}

/// A column of CSV.
enum Field {
    /// A column of a token.
    Token(Column),
    /// Another column.
    Other(String),
    /// A column without a name, with the name of its values. Spreadsheets write empty columns after those that are used.
    Unnamed(String),
}

#[derive(Default)]
struct Reader {
    mapping: Vec<Mapping>,
    rows: Vec<Row>,
    /// The number of the last row.
    number: u64,
    others: Names,
    problems: Vec<String>,
}

impl Reader {
    fn problem(&mut self, line: u64, problem: impl std::fmt::Display) {
        self.problems.push(format!("line {line}: {problem}"));
    }

    fn row(&mut self, line: u64, cells: Cells, columns: Vec<(String, String)>) {
        self.number += 1;
        match cells.token() {
            Ok(token) => {
                let input = RowInput { number: self.number, columns };
                self.rows.push(Row { token, line, input });
            }
            Err(error) => self.problem(line, error),
        }
    }

    fn json_lines(&mut self, text: &str) {
        let mut names = Names::default();
        for (line, text) in lines(text).filter(|(_, text)| !text.trim().is_empty()) {
            let row = json::object(text).and_then(|object| {
                for (name, _) in &object.0 {
                    names.add(name);
                }
                self.json_row(object)
            });
            match row {
                Ok((cells, columns)) => {
                    for (name, _) in &columns {
                        self.others.add(name);
                    }
                    if self.others.order.len() > MAX_COLUMNS {
                        return self.problem(line, too_many_columns());
                    }
                    self.row(line, cells, columns);
                }
                Err(error) => self.problem(line, error),
            }
        }
        if !names.order.is_empty()
            && let Err(error) = Mapping::check_names(&self.mapping, &names.order)
        {
            self.problems.push(error.to_string());
        }
    }

    fn json_row(&self, object: json::Object<'_>) -> Result<(Cells, Vec<(String, String)>)> {
        let mut cells = Cells::default();
        let mut others: Vec<(String, String)> = Vec::new();
        for (name, value) in object.0 {
            check_length(&name)?;
            let column = Mapping::column(&self.mapping, &name);
            let text = json::text(value)?;
            check_value(&name, column, &text)?;
            if let Some(column) = column {
                cells.add(column, json::cell(column, value)?)?;
                continue;
            }
            let is_full = others.len() == MAX_COLUMNS;
            match others.iter_mut().find(|(known, _)| *known == name) {
                // As JSON parsers do.
                Some((_, earlier)) => *earlier = text,
                None if is_full => return Err(Error::argument(too_many_columns())),
                None => others.push((name, text)),
            }
        }
        let names: Vec<String> = others.iter().map(|(name, _)| name.clone()).collect();
        check_names(|column| cells.has(column), &names, Column::EXPECTED)?;
        Ok((cells, others))
    }

    /// Reads CSV. The error concerns the file as a whole, and has a line.
    fn csv(&mut self, text: &str, delimiter: Option<Delimiter>) -> Result<(), (u64, Error)> {
        let (text, line, declared) = skip_preamble(text)?;
        let is_header_whole = text.bytes().take(MAX_HEADER).any(|byte| matches!(byte, b'\r' | b'\n'));
        if text.len() > MAX_HEADER && !is_header_whole {
            let problem = format!("the header line is too long; expected at most {MAX_HEADER} bytes");
            return Err((line, Error::argument(problem)));
        }
        let delimiter = match delimiter.or(declared) {
            Some(delimiter) => delimiter,
            None => Delimiter::of_header(text, &self.mapping).map_err(|error| (line, error))?,
        };
        let mut records = csv::Records::of(text, delimiter, line);
        let (line, header) = records.next().unwrap_or((line, Ok(Vec::new())));
        let names = header.map_err(|problem| (line, Error::argument(problem)))?;
        let columns = self.columns(&names).map_err(|error| (line, error))?;
        for (line, fields) in records {
            match fields {
                Ok(fields) if fields.iter().all(|field| field.trim().is_empty()) => {}
                Ok(fields) if fields.len() == columns.len() => self.csv_row(line, &columns, &names, fields),
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
        Ok(())
    }

    fn csv_row(&mut self, line: u64, columns: &[Field], names: &[String], fields: Vec<String>) {
        let (mut cells, mut others, mut has_name) = (Cells::default(), Vec::new(), false);
        for ((column, name), field) in columns.iter().zip(names).zip(fields) {
            let known = if let Field::Token(column) = column { Some(*column) } else { None };
            if let Err(error) = check_value(name, known, &field) {
                return self.problem(line, error);
            }
            match column {
                // The header has each column once.
                Field::Token(column) => _ = cells.add(*column, Some(Cell::Text(field))),
                Field::Unnamed(_) if field.trim().is_empty() => {}
                Field::Other(unique) | Field::Unnamed(unique) => {
                    has_name |= is_name(&field, name);
                    self.others.add(unique);
                    others.push((unique.clone(), field));
                }
            }
        }
        if has_name && cells.has_user_name() {
            self.problem(line, HEADER);
        } else {
            self.row(line, cells, others);
        }
    }

    /// Returns the columns of a header line.
    fn columns(&self, header: &[String]) -> Result<Vec<Field>> {
        let expected = format!("a header line with {}", Column::EXPECTED);
        header.iter().try_for_each(|name| check_length(name))?;
        let known = |name: &String| Mapping::column(&self.mapping, name);
        Mapping::check_names(&self.mapping, header)?;
        for column in Column::ORDER {
            let names: Vec<String> =
                header.iter().filter(|name| known(name) == Some(column)).cloned().collect();
            if names.len() > 1 {
                let (names, column) = (listed(&names), column.as_str());
                return Err(Error::argument(format!(
                    "duplicate column {column} ({names}); expected {expected}"
                )));
            }
        }
        let has = |column| header.iter().any(|name| known(name) == Some(column));
        let is_other = |name: &&String| known(name).is_none() && !name.trim().is_empty();
        let others: Vec<String> = header.iter().filter(is_other).cloned().collect();
        check_names(has, &others, &expected)?;
        if others.len() > MAX_COLUMNS {
            let columns = others.len();
            return Err(Error::argument(format!("{columns} other columns; expected at most {MAX_COLUMNS}")));
        }
        let given: HashSet<&str> = others.iter().map(|name| name.trim()).collect();
        let mut taken = HashSet::new();
        let mut columns = Vec::with_capacity(header.len());
        for (position, name) in (1..).zip(header) {
            columns.push(match known(name) {
                Some(column) => Field::Token(column),
                None if name.trim().is_empty() => {
                    Field::Unnamed(unique(&format!("column_{position}"), &given, &mut taken))
                }
                None => Field::Other(unique(name.trim(), &given, &mut taken)),
            });
        }
        Ok(columns)
    }
}

fn too_many_columns() -> String {
    format!("more than {MAX_COLUMNS} other columns; expected fewer")
}

/// Returns a name that no earlier column has: the name itself, or the name with the first number that is free.
fn unique(name: &str, given: &HashSet<&str>, taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let is_free = |candidate: &String| {
        !taken.contains(candidate) && (candidate == name || !given.contains(candidate.as_str()))
    };
    let found = std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default();
    taken.insert(found.clone());
    found
}

/// Skips the lines that Excel and PowerShell write and read before the header: `sep=;` and `#TYPE System.Object`. Returns
/// the rest, the number of its first line, and the delimiter.
fn skip_preamble(text: &str) -> Result<(&str, u64, Option<Delimiter>), (u64, Error)> {
    let (mut rest, mut line, mut delimiter) = (text, 1, None);
    loop {
        let (first, after) = rest.split_at(rest.find(['\r', '\n']).unwrap_or(rest.len()));
        let first = first.trim_matches('"');
        let begins_with =
            |prefix: &str| first.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if begins_with("sep=") {
            let declared = first.get(4..).unwrap_or_default().parse().map_err(|error| (line, error))?;
            delimiter = Some(declared);
        } else if !begins_with("#TYPE") {
            return Ok((rest, line, delimiter));
        }
        line += 1;
        rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\r', '\n'])).unwrap_or(after);
    }
}

/// Fails if a value is too long: the message about it would be too.
fn check_value(name: &str, column: Option<Column>, value: &str) -> Result<()> {
    let most = match column {
        Some(Column::AdminId | Column::Status | Column::Type) => MAX_NAME,
        Some(Column::Note) | None => MAX_CHARACTERS,
    };
    if is_longer(value, most) {
        return Err(Error::argument(format!(
            "the value of the column {name:?} is too long; expected at most {most} characters"
        )));
    }
    Ok(())
}

fn is_longer(text: &str, most: usize) -> bool {
    text.len() > most && text.chars().count() > most
}

fn check_length(name: &str) -> Result<()> {
    if is_longer(name, MAX_NAME) {
        let beginning: String = name.chars().take(20).collect();
        return Err(Error::argument(format!(
            "the name of the column that begins with {beginning:?} is too long; expected at most {MAX_NAME} characters"
        )));
    }
    Ok(())
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
            return Err(Error::argument(format!(
                "{}; expected {expected} (--map reads a column of another name)",
                Column::unknown(name)
            )));
        }
        let letters: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
        let letters = letters.to_ascii_lowercase();
        // If these were ignored, tokens that should expire or be disabled would not.
        let is_status = matches!(letters.as_str(), "enabled" | "disabled" | "active");
        if letters.starts_with("expir") || is_status && !has(Column::Status) {
            return Err(Error::argument(format!("column {name:?} is not supported; expected {expected}")));
        }
        if matches!(letters.trim_start_matches("lm"), "accesskey" | "bearertoken") {
            return Err(Error::argument(format!(
                "column {name:?} holds keys, which are not kept; remove it"
            )));
        }
    }
    if has(Column::AdminId) {
        return Ok(());
    }
    let unknown =
        if others.is_empty() { String::new() } else { format!("; unknown columns: {}", listed(others)) };
    Err(Error::argument(format!(
        "no column admin_id{unknown}; expected {expected} (--map reads a column of another name)"
    )))
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
