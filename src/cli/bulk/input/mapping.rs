//! `lmtokens bulk --map`: names of columns that are those of a token.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::lifecycle::Column;

/// A column of the input, and the column that it is.
#[derive(Debug, Clone)]
pub(in crate::cli::bulk) struct Mapping {
    from: String,
    to: Column,
}

impl FromStr for Mapping {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let expected = "COLUMN=NAME, with the NAME admin_id, note, status or type";
        let mapping = text.rsplit_once('=').and_then(|(from, to)| {
            let from = from.trim();
            let to = Column::of(to).filter(|_| !from.is_empty())?;
            Some(Self { from: from.to_owned(), to })
        });
        mapping.ok_or_else(|| Error::argument(format!("expected {expected}")))
    }
}

impl Mapping {
    /// Returns whether this is the name of its column. Case and surrounding white space do not matter.
    fn is_of(&self, name: &str) -> bool {
        name.trim().to_lowercase() == self.from.to_lowercase()
    }

    /// Returns the column that a name of the input means.
    pub(super) fn column(mapping: &[Self], name: &str) -> Option<Column> {
        mapping.iter().find(|mapping| mapping.is_of(name)).map(|it| it.to).or_else(|| Column::of(name))
    }

    /// Fails if a name is mapped twice, or if two names are mapped to one column.
    pub(super) fn check(mapping: &[Self]) -> Result<()> {
        for (position, Self { from, to }) in mapping.iter().enumerate() {
            let earlier = mapping.iter().take(position);
            if let Some(other) = earlier.clone().find(|other| other.is_of(from)) {
                return Err(Error::argument(format!("--map has the column {:?} twice", other.from)));
            }
            if let Some(other) = earlier.clone().find(|other| other.to == *to) {
                let to = to.as_str();
                return Err(Error::argument(format!(
                    "--map has two columns for {to}: {:?} and {from:?}",
                    other.from
                )));
            }
        }
        Ok(())
    }

    /// Fails if one of the mapped columns is not among the names of the input.
    pub(super) fn check_names(mapping: &[Self], names: &[String]) -> Result<()> {
        match mapping.iter().find(|mapping| !names.iter().any(|name| mapping.is_of(name))) {
            None => Ok(()),
            Some(Self { from, .. }) => {
                let names = super::listed(names);
                Err(Error::argument(format!("no column {from:?} for --map; the columns are {names}")))
            }
        }
    }
}
