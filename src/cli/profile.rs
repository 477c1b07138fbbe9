//! `lmtokens profile`.

mod edit;

use std::io::{self, IsTerminal as _};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output};
use super::report::{Failure, say, warn};
use super::signals::run_until_signal;
use crate::advice::Advice;
use crate::credentials::{
    self, Arguments, ConfigFile, Credentials, KeyringEntry, ProcessEnvironment, Profile, check_name,
    config_path,
};
use crate::destinations::{store, with_keyring};
use crate::error::{Error, Result};
use crate::portal::PortalAddress;
use crate::process;
use crate::secret::{MASK, Secret};
use crate::token_output::Members;
use edit::Edit;
#[cfg(any(test, fuzzing))]
pub(crate) use edit::fuzz::fuzz_profiles;

/// Manage profiles: named portals with their credentials
///
/// A command uses the profile of --profile or LM_PROFILE. If the environment has no credentials, it uses the default
/// profile. The profiles are in the file LM_CONFIG_FILE (/dev/null for none, on Windows nul), else in lmtokens/config.toml in XDG_CONFIG_HOME
/// or ~/.config (on Windows in APPDATA).
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::AUTHENTICATION]))]
#[command(arg = super::refused_profile())]
pub(super) struct ProfileCommand {
    #[command(subcommand)]
    action: Action,
}

const EXAMPLES: &str = r#"Examples:
  lmtokens profile add acme --company acme
  lmtokens profile add acme --company acme --access-id ID < key.txt
  lmtokens profile default acme

Example of the file:
  default = "acme"

  [profiles.acme]
  company = "acme"  # or base_url; also domain
  access_id = "..."
  access_key = "..."  # or bearer_token instead of both

In place of the secret:
  keyring = true  # in the keyring of the operating system
  credential_process = ["PROGRAM", "ARGUMENT"]  # a command that prints it, or JSON like lmtokens add -o json"#;

#[derive(Subcommand)]
enum Action {
    List(List),
    Show(Show),
    Default(SetDefault),
    Add(Add),
    Remove(Remove),
}

/// List the profiles
#[derive(Args)]
#[command(after_help = exit::help(LIST_EXAMPLES, &[exit::AUTHENTICATION]))]
struct List {
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
}

const LIST_EXAMPLES: &str = "\
Examples:
  lmtokens profile list
  lmtokens profile list -o json";

/// Print a profile, its secret masked
#[derive(Args)]
#[command(after_help = exit::help(SHOW_EXAMPLES, &[exit::AUTHENTICATION]))]
struct Show {
    /// Profile to print [default: the default profile]
    name: Option<String>,
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "table")]
    output: ListFormat,
}

const SHOW_EXAMPLES: &str = "\
Examples:
  lmtokens profile show
  lmtokens profile show acme -o json";

/// Make a profile the default
#[derive(Args)]
#[command(after_help = exit::help(DEFAULT_EXAMPLES, &[exit::AUTHENTICATION]))]
struct SetDefault {
    /// Profile that commands without credentials use
    name: String,
}

const DEFAULT_EXAMPLES: &str = "\
Examples:
  lmtokens profile default acme
  LM_CONFIG_FILE=other.toml lmtokens profile default acme";

/// Add a profile
///
/// The secret is stored in the keyring of the operating system, if the Python package keyring is installed and finds one;
/// else in plain text in the configuration file, which only its owner can read. At a terminal, lmtokens prompts for what is
/// missing. Otherwise, it reads the secret from standard input: the access key that belongs to --access-id, or a bearer
/// token, which begins with lmb_.
#[derive(Args)]
#[command(after_help = exit::help(ADD_EXAMPLES, &[exit::AUTHENTICATION]))]
struct Add {
    /// Name of the profile: letters, digits, hyphens, underscores and dots
    name: String,
    /// Set the portal's company: a name (acme), host or URL
    #[arg(long)]
    company: Option<String>,
    /// Set the portal's domain [default: logicmonitor.com]
    #[arg(long, conflicts_with = "base_url")]
    domain: Option<String>,
    /// Set the URL of the REST API, if it is not https://COMPANY.DOMAIN/santaba/rest
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Set the access id of an LMv1 token
    #[arg(long, value_name = "ID")]
    access_id: Option<String>,
    /// Store the secret in the configuration file, even if there is a keyring
    #[arg(long)]
    plain_text: bool,
    /// Make the profile the default
    #[arg(long)]
    default: bool,
    /// Replace an existing profile
    #[arg(long)]
    overwrite: bool,
}

const ADD_EXAMPLES: &str = "\
Examples:
  lmtokens profile add acme --company acme --default
  lmtokens profile add acme --company acme --access-id ID < key.txt
  lmtokens profile add gov --company acme --domain lmgov.us < bearer-token.txt";

/// Remove a profile with its secret
#[derive(Args)]
#[command(after_help = exit::help(REMOVE_EXAMPLES, &[exit::AUTHENTICATION]))]
struct Remove {
    /// Profile to remove
    name: String,
    /// Remove the profile without asking
    #[arg(long)]
    yes: bool,
}

const REMOVE_EXAMPLES: &str = "\
Examples:
  lmtokens profile remove acme
  lmtokens profile remove acme --yes";

impl ProfileCommand {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        match self.action {
            Action::List(list) => list.run()?,
            Action::Show(show) => show.run()?,
            Action::Default(default) => default.run(host)?,
            Action::Add(add) => add.run(host)?,
            Action::Remove(remove) => return remove.run(host),
        }
        Ok(exit::DONE)
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let output = Output::open()?;
        let file = ConfigFile::read(&ProcessEnvironment)?;
        let mut rows = Vec::new();
        if let Some(file) = &file {
            let default = file.default_name()?;
            for name in file.names()? {
                rows.push(row(file, name, default == Some(name)));
            }
        }
        if rows.is_empty() {
            say("no profiles; create one with lmtokens profile add");
        }
        output.write(&output::table_of(&COLUMNS, &rows, self.output)?)
    }
}

impl Show {
    fn run(self) -> Result<(), Failure> {
        let output = Output::open()?;
        let file = existing_file()?;
        let default = file.default_name()?;
        let name = self.name.as_deref().or(default).ok_or_else(|| {
            Error::configuration(format!("{} has no default profile", file.path()))
                .suggest("name a profile, or set the default with lmtokens profile default")
        })?;
        let members = members(name, default == Some(name), &file.profile(name, "")?)?;
        output.write(&output::one(&Members(members), self.output)?)
    }
}

impl SetDefault {
    fn run(self, host: &Host) -> Result<(), Failure> {
        let mut edit = Edit::open(host)?;
        edit.check_exists(&self.name)?;
        edit.set_default(&self.name);
        let path = edit.save()?;
        say(&format!("{} is the default profile of {path}", self.name));
        Ok(())
    }
}

impl Add {
    fn run(self, host: &Host) -> Result<(), Failure> {
        check_name(&self.name)?;
        // Before the secret is asked for. The file stays unlocked meanwhile.
        Edit::read()?.check_new(&self.name, self.overwrite)?;
        let mut settings = Arguments {
            company: self.company,
            domain: self.domain,
            base_url: self.base_url,
            access_id: self.access_id.map(Secret::new),
            ..Arguments::default()
        };
        if settings.company.is_none() && settings.base_url.is_none() {
            settings.company = Some(company(host)?);
        }
        let path = config_path(&ProcessEnvironment)?;
        let profile = Profile::new(&self.name, &path, settings)?;
        let portal = profile.portal(None)?;
        let to_keyring = !self.plain_text && has_keyring(host)?;
        if !to_keyring {
            warn(&format!("the secret will be in plain text in {path}, readable by you only"));
        }
        let credentials = credentials(host, portal.as_ref(), profile.settings.access_id.clone())?;

        let mut edit = Edit::open_or_create(host)?;
        edit.check_new(&self.name, self.overwrite)?;
        let was_in_keyring = edit.uses_keyring(&self.name);
        edit.set_profile(&self.name, &profile.settings, &credentials, to_keyring)?;
        if self.default {
            edit.set_default(&self.name);
        }
        // Before the entry of an existing profile is replaced.
        let new = edit.write()?;
        if to_keyring {
            let base_url = portal.as_ref().map(PortalAddress::base_url);
            let entry = KeyringEntry::of_credentials(base_url, &credentials).write();
            let entry = entry
                .map_err(|error| Error::credentials(format!("cannot write the credentials: {error}")))?;
            let name = self.name.clone();
            run_until_signal(with_keyring(&host.keyring, move |keyring| store(keyring, &name, &entry)))?;
        }
        let path = new.put_in_place()?;
        if was_in_keyring && !to_keyring {
            delete_entry(host, &self.name)?;
        }
        let place = if to_keyring { ", and its secret to the keyring" } else { "" };
        say(&format!("added profile {} to {path}{place}", self.name));
        Ok(())
    }
}

/// Returns whether the secret can be stored in a keyring. It is called on this thread, whose signals are not handled yet:
/// the prompt that may follow could not be interrupted otherwise.
fn has_keyring(host: &Host) -> Result<bool, Failure> {
    let found = host.unless_interrupted(host.keyring.is_available())?;
    Ok(found
        .map_err(|error| error.suggest("pass --plain-text to store the secret in the configuration file"))?)
}

/// Deletes the entry of a profile that no longer uses the keyring.
fn delete_entry(host: &Host, name: &str) -> Result<(), Failure> {
    let entry = name.to_owned();
    let deleted = run_until_signal(with_keyring(&host.keyring, move |keyring| {
        keyring.delete(&entry).map_err(|error| {
            let message = format!("the secret of profile {entry} is still in the keyring: {error}");
            Error::credentials(message).suggest(format!("delete it: keyring del lmtokens {entry}"))
        })
    }));
    Ok(deleted?)
}

fn company(host: &Host) -> Result<String, Failure> {
    if !host.prompt.is_available() {
        return Err(Error::configuration("company is missing").suggest(Advice::NameCompany).into());
    }
    Ok(host.unless_interrupted(credentials::ask_company(host.prompt.as_ref()))??)
}

/// Asks for credentials, or reads their secret from standard input.
fn credentials(
    host: &Host,
    portal: Option<&PortalAddress>,
    access_id: Option<Secret>,
) -> Result<Credentials, Failure> {
    if host.prompt.is_available() {
        return Ok(host.unless_interrupted(credentials::ask(host.prompt.as_ref(), portal, access_id))??);
    }
    if io::stdin().is_terminal() {
        return Err(Error::credentials("no prompt available")
            .suggest("pass the secret on standard input")
            .into());
    }
    let secret = run_until_signal(async {
        let read = process::blocking(|| credentials::read_secret_from(io::stdin())).await.flatten();
        read.map_err(|error| {
            Error::credentials(format!("cannot read the secret from standard input: {error}"))
        })
    })?;
    Ok(Credentials::from_pair(access_id.as_ref().map(Secret::reveal), secret)?)
}

impl Remove {
    fn run(self, host: &Host) -> Result<u8, Failure> {
        Edit::read()?.check_exists(&self.name)?;
        if !self.yes {
            if !host.prompt.is_available() {
                let problem = "no prompt available to confirm the removal";
                return Err(Error::argument(problem).suggest("pass --yes to remove without asking").into());
            }
            let question = format!("Remove profile {} with its secret? [y/N] ", self.name);
            let reply = host.unless_interrupted(host.prompt.ask(&question))??;
            if !matches!(reply.trim(), "y" | "Y" | "yes") {
                say("nothing was changed");
                return Ok(exit::FAILED);
            }
        }
        let mut edit = Edit::open(host)?;
        edit.check_exists(&self.name)?;
        let uses_keyring = edit.uses_keyring(&self.name);
        edit.remove(&self.name);
        let path = edit.save()?;
        say(&format!("removed profile {} from {path}", self.name));
        if uses_keyring {
            delete_entry(host, &self.name)?;
        }
        Ok(exit::DONE)
    }
}

/// Returns the configuration file; fails if it does not exist.
fn existing_file() -> Result<ConfigFile> {
    ConfigFile::read(&ProcessEnvironment)?.ok_or_else(|| {
        Error::configuration("the configuration file does not exist")
            .suggest("create a profile with lmtokens profile add")
    })
}

/// The members of a profile in a list.
const COLUMNS: [&str; 7] = ["name", "default", "base_url", "credentials", "access_id", "secret", "error"];

/// Returns a profile of a list. One that is not valid has an error, and does not hide the others.
fn row(file: &ConfigFile, name: &str, is_default: bool) -> Members {
    let found = file.profile(name, "").and_then(|profile| members(name, is_default, &profile));
    match found {
        Ok(mut members) => {
            members.push(("error", Value::Null));
            Members(members)
        }
        Err(error) => {
            let value = |column| match column {
                "name" => json!(name),
                "default" => json!(is_default),
                "error" => json!(error.to_string()),
                _ => Value::Null,
            };
            Members(COLUMNS.map(|column| (column, value(column))).into())
        }
    }
}

/// Returns what a profile contains, without a call of its keyring or its command.
fn members(name: &str, is_default: bool, profile: &Profile) -> Result<Vec<(&'static str, Value)>> {
    let portal = profile.portal(None)?;
    let (kind, secret) = match profile.outside() {
        Some(outside) => (None, Some(outside.key())),
        None => match profile.credentials(&ProcessEnvironment)? {
            Some(found) => (Some(found.credentials.kind()), Some(MASK)),
            None => (None, None),
        },
    };
    // Elsewhere, the secret may come with another access id.
    let access_id = profile.settings.access_id.as_ref().filter(|_| kind.is_some());
    Ok(vec![
        ("name", json!(name)),
        ("default", json!(is_default)),
        ("base_url", json!(portal.as_ref().map(PortalAddress::base_url))),
        ("credentials", json!(kind)),
        ("access_id", json!(access_id.map(Secret::reveal))),
        ("secret", json!(secret)),
    ])
}
