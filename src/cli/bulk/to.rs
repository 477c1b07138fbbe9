//! `lmtokens bulk --to`.

use std::sync::Arc;

use crate::cli::destination::{FileFormat, To};
use crate::cli::placeholders;
use crate::destinations::{Destination, Keyring};
use crate::error::{Error, Result};
use crate::lifecycle::DestinationForRow;
use crate::tokens::User;

/// Returns what gives each row its destination.
pub(super) fn destination_of(
    to: To,
    keyring: &Arc<dyn Keyring>,
    format: Option<FileFormat>,
    trust_folder: bool,
) -> DestinationForRow {
    let keyring = Arc::clone(keyring);
    Arc::new(move |user: &User, row| {
        let to = to.clone().map_words(|word| fill(word, user, row))?;
        let trust_folder = trust_folder && matches!(to, To::File(_));
        let destination: Option<Arc<dyn Destination>> =
            to.destination(&keyring, format.map(FileFormat::into), false, trust_folder)?;
        destination.ok_or_else(|| {
            let expected =
                "file:PATH, keyring:NAME or command:COMMAND: a resumed run must be able to complete a delivery";
            Error::invalid("--to", "-", expected)
        })
    })
}

fn fill(word: &str, user: &User, row: u64) -> Result<String> {
    placeholders::fill(word, "{row} or {admin_id}", |name| {
        Ok(match (name, user) {
            ("row", _) => Some(row.to_string()),
            ("admin_id", User::Id(id)) => Some(id.get().to_string()),
            ("admin_id", User::Name(name)) => {
                let name = name.as_str();
                let message = format!(
                    "{{admin_id}} in --to needs the id of each user; row {row} has the name {name:?}"
                );
                return Err(Error::argument(message));
            }
            ("id" | "access_id", _) => {
                let message =
                    format!("{{{name}}} in --to is not known before the token is created; use {{row}}");
                return Err(Error::argument(message));
            }
            _ => None,
        })
    })
}
