//! The values of a row before they are checked, and the names of its columns: one rule for every interface.

use crate::error::{Error, Result};
use crate::ids::{AdminId, Note, Status, Type};
use crate::tokens::{NewToken, User};

/// The problem of a row that is a header.
pub(crate) const HEADER: &str = "a header line, not a row";

/// A column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    AdminId,
    Note,
    Status,
    Type,
}

impl Column {
    /// The columns in the order of a row without names.
    pub(crate) const ORDER: [Self; 4] = [Self::AdminId, Self::Note, Self::Status, Self::Type];
    /// The names, for messages.
    pub(crate) const EXPECTED: &'static str = "admin_id and optionally note, status and type";

    /// Returns the column with a name. Case, surrounding white space and a byte order mark do not matter.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.trim_start_matches('\u{feff}').trim().to_ascii_lowercase();
        Self::ORDER.into_iter().find(|column| column.as_str() == name)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AdminId => "admin_id",
            Self::Note => "note",
            Self::Status => "status",
            Self::Type => "type",
        }
    }

    /// Returns the accepted values, for messages.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::AdminId => AdminId::EXPECTED,
            Self::Note => "a string",
            Self::Status => Status::EXPECTED,
            Self::Type => Type::EXPECTED,
        }
    }

    /// Returns the column that an unknown name may be a misspelling of.
    pub(crate) fn resembling(name: &str) -> Option<Self> {
        let letters = |name: &str| {
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>()
        };
        let given = letters(name);
        Self::ORDER.into_iter().find(|column| {
            let known = letters(column.as_str());
            // A shorter name resembles too many words.
            let most = if known.len() > 4 { 2 } else { 1 };
            strsim::osa_distance(&given, &known) <= most
        })
    }

    /// Returns the beginning of the error for a name that is not a column.
    pub(crate) fn unknown(name: &str) -> String {
        let meant = Self::resembling(name).map(|column| format!(" (did you mean {}?)", column.as_str()));
        format!("unknown column {name:?}{}", meant.unwrap_or_default())
    }
}

/// A value of a row before it is checked.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Number(i64),
    Text(String),
}

/// The values of one row; `None` is a column without a value.
#[derive(Debug, Default)]
pub(crate) struct Cells(Vec<(Column, Option<Cell>)>);

impl Cells {
    pub(crate) fn has(&self, column: Column) -> bool {
        self.0.iter().any(|(known, _)| *known == column)
    }

    /// Adds a value; fails if the row has one of this column.
    pub(crate) fn add(&mut self, column: Column, cell: Option<Cell>) -> Result<()> {
        if self.has(column) {
            return Err(Error::argument(format!("{} is given twice", column.as_str())));
        }
        self.0.push((column, cell));
        Ok(())
    }

    /// Checks the values. A user in digits is an id; a status may be written in digits too. White space around a value
    /// does not matter, except in a note. An empty value is not given.
    pub(crate) fn token(mut self) -> Result<NewToken> {
        if self.is_header() {
            return Err(Error::argument(HEADER));
        }
        let admin = match self.take(Column::AdminId) {
            Some(Cell::Number(id)) => User::Id(AdminId::new(id)?),
            Some(Cell::Text(text)) => text.parse()?,
            None => {
                return Err(Error::argument(format!("admin_id is missing; expected {}", Column::EXPECTED)));
            }
        };
        let note = match self.take(Column::Note) {
            Some(Cell::Text(text)) => Some(Note::new(text)?),
            Some(Cell::Number(number)) => {
                return Err(Error::invalid("note", number, Column::Note.expected()));
            }
            None => None,
        };
        let status = match self.take(Column::Status) {
            Some(Cell::Number(number)) => Status::from_number(number)?,
            Some(Cell::Text(text)) => match text.trim() {
                "1" => Status::Disabled,
                "2" => Status::Enabled,
                word => word.parse()?,
            },
            None => Status::default(),
        };
        let r#type = match self.take(Column::Type) {
            Some(Cell::Text(text)) => text.trim().parse()?,
            Some(Cell::Number(number)) => return Err(Error::invalid("type", number, Type::EXPECTED)),
            None => Type::default(),
        };
        Ok(NewToken { admin, note, status, r#type, expires: None })
    }

    /// Returns whether the values are names of columns, as in the header of a file that was joined to another. A value
    /// that names the users' column proves it; a note may be "note" if the user is an id.
    fn is_header(&self) -> bool {
        self.texts().any(|(_, text)| Column::of(text) == Some(Column::AdminId))
            || self.has_user_name() && self.texts().any(|(column, text)| Column::of(text) == Some(column))
    }

    /// Returns whether the values resemble names of columns, as in the header of a file whose rows are read without
    /// names.
    pub(crate) fn resembles_header(&self) -> bool {
        let is_name = |(column, text)| Column::of(text).is_some() || Column::resembling(text) == Some(column);
        self.is_header() || self.has_user_name() && self.texts().any(is_name)
    }

    /// Returns whether the user is given by name.
    pub(crate) fn has_user_name(&self) -> bool {
        self.texts().any(|(column, text)| {
            column == Column::AdminId && matches!(text.parse::<User>(), Ok(User::Name(_)))
        })
    }

    fn texts(&self) -> impl Iterator<Item = (Column, &str)> {
        self.0.iter().filter_map(|(column, cell)| match cell {
            Some(Cell::Text(text)) => Some((*column, text.as_str())),
            _ => None,
        })
    }

    fn take(&mut self, column: Column) -> Option<Cell> {
        let position = self.0.iter().position(|(known, _)| *known == column)?;
        let (_, cell) = self.0.swap_remove(position);
        cell.filter(|cell| match cell {
            Cell::Text(text) if column == Column::Note => !text.is_empty(),
            Cell::Text(text) => !text.trim().is_empty(),
            Cell::Number(_) => true,
        })
    }
}
