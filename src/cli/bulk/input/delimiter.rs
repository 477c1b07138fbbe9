//! The character between the columns of CSV.

use std::str::FromStr;

use super::csv::Records;
use super::mapping::Mapping;
use crate::error::{Error, Result};
use crate::lifecycle::Column;

/// A delimiter that spreadsheets write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::bulk) enum Delimiter {
    Comma,
    Semicolon,
    Tab,
    Pipe,
}

const ALL: [Delimiter; 4] = [Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab, Delimiter::Pipe];

impl FromStr for Delimiter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_it = |delimiter: &&Self| {
            text.eq_ignore_ascii_case(delimiter.word()) || text.chars().eq([delimiter.character()])
        };
        let found = ALL.iter().find(is_it).copied();
        found.ok_or_else(|| {
            Error::invalid("delimiter", format_args!("{text:?}"), "comma, semicolon, tab or pipe")
        })
    }
}

impl Delimiter {
    pub(super) fn character(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Semicolon => ';',
            Self::Tab => '\t',
            Self::Pipe => '|',
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
            Self::Pipe => "pipe",
        }
    }

    /// Returns the delimiter that a header line shows: the one that separates the column of the users from others. If none
    /// does, it is the only one that occurs, or the comma. The error names those that are possible.
    pub(super) fn of_header(text: &str, mapping: &[Mapping]) -> Result<Self> {
        let has_several = |header: &[String]| header.len() > 1;
        let has_users = |header: &[String]| {
            has_several(header)
                && header.iter().any(|name| Mapping::column(mapping, name) == Some(Column::AdminId))
        };
        let headers: Vec<(Self, Vec<String>)> = ALL
            .into_iter()
            .filter_map(|delimiter| Some((delimiter, Records::of(text, delimiter, 1).next()?.1.ok()?)))
            .collect();
        let with = |condition: &dyn Fn(&[String]) -> bool| {
            let those = headers.iter().filter(|(_, header)| condition(header));
            those.map(|(delimiter, _)| *delimiter).collect::<Vec<_>>()
        };
        let mut possible = with(&has_users);
        if possible.is_empty() {
            possible = with(&has_several);
        }
        match possible.as_slice() {
            [] => Ok(Self::Comma),
            [delimiter] => Ok(*delimiter),
            several => {
                let words: Vec<&str> = several.iter().map(|delimiter| delimiter.word()).collect();
                let words = words.join(" and by ");
                Err(Error::argument(format!(
                    "the header line can be separated by {words}; select one with --delimiter"
                )))
            }
        }
    }
}
