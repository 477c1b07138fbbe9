#![allow(clippy::panic, reason = "a target fails by panicking")]

use std::collections::HashMap;

use serde_json::Value;

use super::{Delimiter, Input, MAX_CHARACTERS, MAX_COLUMNS, parse};
use crate::fuzz::text;
use crate::ids::{Status, Type};
use crate::lifecycle::{Column, Row};
use crate::tokens::User;

/// Reads rows, writes them as JSON lines and as CSV, and reads both again.
pub(crate) fn fuzz_bulk_input(input: &[u8]) {
    /// A message shows at most 20 problems, each with one value.
    const MAX_MESSAGE: usize = 200_000;
    let is_json = text(input).trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']);
    let rows = match parse(input.to_vec(), "it", None, None, Vec::new()) {
        Ok(rows) => rows,
        Err(error) => return assert!(error.to_string().len() < MAX_MESSAGE),
    };
    let Input { rows, others } = rows;
    assert!(!rows.is_empty() && others.len() <= MAX_COLUMNS);
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row.input.number, number);
        assert!(row.input.columns.iter().all(|(_, value)| value.chars().count() <= MAX_CHARACTERS));
    }
    check(&rows, parse(json(&rows).into_bytes(), "it", Some("jsonl"), None, Vec::new()));
    // The names and the values that CSV has too: a value that repeats the name of its column is taken for a header.
    let is_csv = |(name, value): &(String, String)| {
        name.len() < 200 && name.trim() == name && !value.trim().eq_ignore_ascii_case(name)
    };
    if !is_json && rows.iter().flat_map(|row| &row.input.columns).all(is_csv) {
        let written = csv(&rows, &others);
        check(&rows, parse(written, "it", Some("csv"), Some(Delimiter::Comma), Vec::new()));
    }
}

fn check(rows: &[Row], again: crate::error::Result<Input>) {
    let again = match again {
        Ok(again) => again.rows,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(again.len(), rows.len());
    for (again, row) in again.iter().zip(rows) {
        assert_eq!(again.token, row.token);
        let given = |row: &Row| {
            let filled = row.input.columns.iter().filter(|(_, value)| !value.is_empty());
            filled.cloned().collect::<HashMap<_, _>>()
        };
        assert_eq!(given(again), given(row));
    }
}

fn cells(row: &Row) -> Vec<(String, String)> {
    let token = &row.token;
    let admin = match &token.admin {
        User::Id(id) => id.to_string(),
        User::Name(name) => name.as_str().to_owned(),
    };
    let status = match token.status {
        Status::Disabled => "1",
        Status::Enabled => "2",
    };
    let r#type = match token.r#type {
        Type::Lmv1 => "lmv1",
        Type::Bearer => "bearer",
    };
    let note = token.note().unwrap_or_default().to_owned();
    let cells = [admin, note, status.to_owned(), r#type.to_owned()];
    Column::ORDER.into_iter().map(|column| column.as_str().to_owned()).zip(cells).collect()
}

fn json(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let members = cells(row).into_iter().chain(row.input.columns.iter().cloned());
        let members = members.map(|(name, value)| format!("{}:{}", Value::from(name), Value::from(value)));
        format!("{{{}}}\n", members.collect::<Vec<_>>().join(","))
    };
    rows.iter().map(line).collect()
}

fn csv(rows: &[Row], others: &[String]) -> Vec<u8> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let columns = Column::ORDER.into_iter().map(|column| column.as_str().to_owned());
    assert!(writer.write_record(columns.chain(others.iter().cloned())).is_ok());
    for row in rows {
        let value = |name: &String| {
            let found = row.input.columns.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let fields = cells(row).into_iter().map(|(_, cell)| cell).chain(others.iter().map(value));
        assert!(writer.write_record(fields).is_ok());
    }
    writer.into_inner().unwrap_or_default()
}
