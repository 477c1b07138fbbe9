//! A new token as text with its secret in plain text, for destinations only.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::credentials::selecting_variables;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Token, TokenStatus, TokenType, iso_8601};
use crate::portal::{DEFAULT_DOMAIN, PortalAddress};
use crate::secret::Secret;

/// A format for a token with its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// One JSON object with the token's members.
    #[default]
    Json,
    /// Commands for a POSIX shell that export environment variables.
    Env,
    /// Environment variables, one `NAME=value` per line without quotes, for docker, kubectl and systemd.
    EnvFile,
    /// The secret alone.
    Key,
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "json" => Ok(Self::Json),
            "env" => Ok(Self::Env),
            "env-file" => Ok(Self::EnvFile),
            "key" => Ok(Self::Key),
            _ => Err(Error::invalid(
                "format",
                format_args!("{word:?}"),
                "\"json\", \"env\", \"env-file\" or \"key\"",
            )),
        }
    }
}

impl Form {
    pub(crate) const ALL: [Self; 4] = [Self::Json, Self::Env, Self::EnvFile, Self::Key];

    /// Returns the word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Env => "env",
            Self::EnvFile => "env-file",
            Self::Key => "key",
        }
    }

    /// Returns the token in this format, with a line break at the end. Fails if the format's readers would not read the
    /// secret back unchanged.
    pub fn write(self, token: &Token, portal: &PortalAddress) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(match self {
            Self::Json => json_line(token)?,
            Self::Env => exports(&variables(token, portal))?,
            Self::EnvFile => env_file(&variables(token, portal))?,
            Self::Key => format!("{}\n", revealed(token)),
        }))
    }

    /// Returns whether a text in this format has this token and nothing else. The secret alone does not show whose it
    /// is.
    pub(crate) fn has_only(self, text: &str, token: &Token) -> bool {
        let Some(values) = self.values_in(text) else { return false };
        let is = |name: &str, value: Value| values.get(name) == Some(&value);
        match (self, &token.access_id) {
            (Self::Json, Some(access_id)) => is("access_id", json!(access_id)),
            // A bearer token, or one that is known by its id only.
            (Self::Json, None) => {
                is("id", json!(token.id))
                    && is("type", json!(token.r#type.as_str()))
                    && is("admin_id", json!(token.admin_id))
            }
            (_, Some(access_id)) => is("LM_ACCESS_ID", json!(access_id)),
            (_, None) => false,
        }
    }

    /// Returns whether a text in this format has one token and nothing else.
    pub(crate) fn has_one_token(self, text: &str) -> bool {
        self.values_in(text).is_some()
    }

    /// Reads a text that has one token and nothing else; `None` for any other text.
    fn values_in(self, text: &str) -> Option<BTreeMap<String, Value>> {
        match self {
            Self::Json => {
                let values: BTreeMap<String, Value> = serde_json::from_str(text).ok()?;
                let is_known = |name: &String| {
                    name == ACCESS_KEY || TOKEN_MEMBERS.iter().any(|(known, _)| known == name)
                };
                (values.contains_key(ACCESS_KEY) && values.keys().all(is_known)).then_some(values)
            }
            Self::Env => {
                let (commands, unset) = text.strip_suffix('\n')?.rsplit_once("\nunset ")?;
                let is_known = |name| selecting_variables().any(|known| known == name);
                let commands = commands.lines().map(|line| {
                    let (name, quoted) = line.strip_prefix("export ")?.split_once('=')?;
                    let value = quoted.strip_prefix('\'')?.strip_suffix('\'')?.replace(r"'\''", "");
                    (!value.contains('\'')).then(|| (name.to_owned(), value))
                });
                if unset.split(' ').all(is_known) { variables_of(commands) } else { None }
            }
            Self::EnvFile => {
                variables_of(text.lines().map(|line| {
                    line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
                }))
            }
            Self::Key => None,
        }
    }
}

/// Returns variables by their names; `None` if one occurs twice or is not one of those that name a portal and a token.
fn variables_of(
    variables: impl Iterator<Item = Option<(String, String)>>,
) -> Option<BTreeMap<String, Value>> {
    let mut values = BTreeMap::new();
    for variable in variables {
        let (name, value) = variable?;
        let is_known = selecting_variables().any(|known| known == name);
        if !is_known || values.insert(name, Value::String(value)).is_some() {
            return None;
        }
    }
    (!values.is_empty()).then_some(values)
}

/// Named values in a fixed order, serialised as a JSON object.
pub(crate) struct Members<N = &'static str>(pub Vec<(N, Value)>);

impl Members {
    /// Reads members of a value.
    pub(crate) fn of<T>(members: &[Member<T>], value: &T) -> Self {
        Self(members.iter().map(|(name, read)| (*name, read(value))).collect())
    }
}

impl<N: Serialize> Serialize for Members<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The name of a member, and what reads its value.
pub(crate) type Member<T> = (&'static str, fn(&T) -> Value);

const ACCESS_KEY: &str = "access_key";

/// The members of a token without its secret.
pub(crate) const TOKEN_MEMBERS: [Member<Token>; 16] = [
    ("id", |token| json!(token.id)),
    ("type", |token| json!(token.r#type.as_str())),
    ("access_id", |token| json!(token.access_id)),
    ("admin_id", |token| json!(token.admin_id)),
    ("admin_name", |token| json!(token.admin_name)),
    ("status", |token| json!(token.status.map(TokenStatus::number))),
    ("note", |token| json!(token.note)),
    ("expires_on", |token| json!(token.expires_on().map(iso_8601))),
    ("replaces", |token| json!(token.replaces())),
    ("replaced_by", |token| json!(token.replaced_by())),
    ("roles", |token| json!(token.roles)),
    ("created_by", |token| json!(token.created_by)),
    ("created_on", |token| json!(token.created_on.map(iso_8601))),
    ("last_used_on", |token| json!(token.last_used_on.map(iso_8601))),
    ("last_auth_ip", |token| json!(token.last_auth_ip)),
    ("user_permission", |token| json!(token.user_permission)),
];

/// Returns the members of a token without its secret.
#[must_use]
pub(crate) fn token_members(token: &Token) -> Members {
    Members::of(&TOKEN_MEMBERS, token)
}

/// Returns the members of a new token that destinations receive, its secret in plain text.
#[must_use]
pub(crate) fn members(token: &Token) -> Members {
    let Members(mut members) = token_members(token);
    let left_out = ["replaces", "replaced_by", "last_used_on", "last_auth_ip", "user_permission"];
    members.retain(|(name, _)| !left_out.contains(name));
    let secret = token.access_key.as_ref().map(Secret::reveal);
    members.insert(3, (ACCESS_KEY, json!(secret)));
    Members(members)
}

/// Returns the members as one line of JSON.
pub(crate) fn json_line(token: &Token) -> Result<String> {
    serde_json::to_string(&members(token))
        .map(|text| text + "\n")
        .map_err(|error| Error::new(ErrorKind::Response, format!("cannot write the token as JSON: {error}")))
}

/// A variable of the environment.
pub(crate) type Variable = (&'static str, Zeroizing<String>);

/// Returns the variables with which this package uses the token at its portal.
fn variables(token: &Token, portal: &PortalAddress) -> Vec<Variable> {
    let mut variables = portal_variables(portal);
    let mut add = |name, value: &str| variables.push((name, Zeroizing::new(value.to_owned())));
    if token.r#type == TokenType::Bearer {
        add("LM_BEARER_TOKEN", revealed(token));
    } else {
        add("LM_ACCESS_ID", token.access_id.as_deref().unwrap_or_default());
        add("LM_ACCESS_KEY", revealed(token));
    }
    variables
}

/// Returns the company, and its domain unless it is the default, or else the base URL.
fn portal_variables(portal: &PortalAddress) -> Vec<Variable> {
    let of_company = PortalAddress::of_company(portal.host(), None);
    let values = match &of_company {
        Ok(of_company) if of_company.base_url() == portal.base_url() => {
            let company = of_company.company().unwrap_or_default();
            let domain = portal.host().strip_prefix(company).and_then(|rest| rest.strip_prefix('.'));
            vec![
                ("LM_COMPANY", Some(company)),
                ("LM_DOMAIN_NAME", domain.filter(|name| *name != DEFAULT_DOMAIN)),
            ]
        }
        _ => vec![("LM_BASE_URL", Some(portal.base_url()))],
    };
    let given = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.map(|(name, value)| (name, Zeroizing::new(value.to_owned()))).collect()
}

/// Returns the variables with a portal or credentials that are not among these.
fn others(variables: &[Variable]) -> impl Iterator<Item = &'static str> {
    selecting_variables().filter(|other| variables.iter().all(|(name, _)| name != other))
}

/// Returns the commands that export the variables to a POSIX shell. The last one unsets the other variables with a
/// portal or credentials, which could contradict these or be used instead.
pub(crate) fn exports(variables: &[Variable]) -> Result<String> {
    let unset = format!("unset {}\n", others(variables).collect::<Vec<_>>().join(" "));
    let commands = variables.iter().map(|(name, value)| {
        if value.contains('\0') {
            return Err(cannot_write(name, "it contains a NUL character"));
        }
        Ok(export(name, value))
    });
    commands.chain([Ok(unset)]).collect()
}

/// Returns the command that exports a variable to a POSIX shell.
fn export(name: &str, value: &str) -> String {
    format!("export {name}={}\n", quoted(value))
}

/// Returns the variables as they are, one per line. docker and kubectl take everything after the equals sign, but
/// systemd reads backslashes, quotes and outer blanks, and newer versions of docker remove a pair of quotes.
fn env_file(variables: &[Variable]) -> Result<String> {
    // docker and kubectl read lines of less than 64 KiB.
    const MAX_LINE: usize = 60_000;
    let lines = variables.iter().map(|(name, value)| {
        let is_read_unchanged = value.len() <= MAX_LINE
            && !value.starts_with(['\'', '"', ' '])
            && !value.ends_with(' ')
            && !value.contains(|c: char| c == '\\' || c.is_ascii_control());
        if !is_read_unchanged {
            let problem = "docker, kubectl and systemd would not all read it back unchanged, because of a backslash, a \
                           control character, an outer quotation mark or blank, or its length";
            return Err(cannot_write(name, problem));
        }
        Ok(format!("{name}={}\n", value.as_str()))
    });
    lines.collect()
}

/// The two texts with which a step of a GitHub workflow sets variables for the steps after it.
pub(crate) struct GithubEnvironment {
    /// The commands for standard output that make the runner mask the secret in its logs.
    pub(crate) masks: Zeroizing<String>,
    /// The lines for the file that `GITHUB_ENV` names.
    pub(crate) variables: Zeroizing<String>,
}

impl GithubEnvironment {
    /// Returns the texts for a token. The other variables with a portal or credentials get empty values: the job's could
    /// contradict these or be used instead.
    pub(crate) fn of(token: &Token, portal: &PortalAddress) -> Result<Self> {
        let variables = variables(token, portal);
        let lines = variables.iter().map(|(name, value)| github_variable(name, value));
        // An empty value counts as none, and a file of variables cannot unset one.
        let empty = others(&variables).map(|other| Ok(format!("{other}=\n")));
        let variables = lines.chain(empty).collect::<Result<String>>()?;
        // The runner reads these characters of a command escaped.
        let secret = revealed(token).replace('%', "%25").replace('\n', "%0A");
        Ok(Self { masks: format!("::add-mask::{secret}\n").into(), variables: variables.into() })
    }
}

/// Returns a variable for `GITHUB_ENV`: on one line, or between two delimiters if its value has line breaks.
fn github_variable(name: &str, value: &str) -> Result<String> {
    if value.contains(['\0', '\r']) {
        return Err(cannot_write(name, "it contains a NUL character or a carriage return"));
    }
    if !value.contains('\n') {
        return Ok(format!("{name}={value}\n"));
    }
    let mut delimiter = "END".to_owned();
    while value.lines().any(|line| line == delimiter) {
        delimiter.push('_');
    }
    Ok(format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
}

/// The message does not repeat the value: it may be the secret.
fn cannot_write(name: &str, problem: &str) -> Error {
    Error::new(ErrorKind::Delivery, format!("cannot write the value of {name}: {problem}"))
        .suggest("use another format, such as json")
}

fn revealed(token: &Token) -> &str {
    token.access_key.as_ref().map(Secret::reveal).unwrap_or_default()
}

/// Returns a text in single quotes, for a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{PortalAddress, portal_variables};

    #[cfg(unix)]
    #[test]
    fn shells_read_a_thousand_random_values_unchanged() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};

        use proptest::strategy::{Strategy as _, ValueTree as _};
        use proptest::test_runner::TestRunner;
        use zeroize::Zeroizing;

        use super::exports;

        let mut runner = TestRunner::deterministic();
        let mut value = |pattern| {
            let strategy = proptest::string::string_regex(pattern).unwrap();
            strategy.new_tree(&mut runner).unwrap().current()
        };
        let mut values: Vec<String> = (0..900).map(|_| value("[!-~]{1,60}")).collect();
        values.extend((0..100).map(|_| value("[^\0]{1,20}")));
        let script = values.iter().map(|value| {
            let commands = exports(&[("LM_ACCESS_KEY", Zeroizing::new(value.clone()))]).unwrap();
            commands + "printf '%s\\0' \"$LM_ACCESS_KEY\"\n"
        });
        let script: String = script.collect();
        for shell in ["sh", "bash", "dash", "zsh"] {
            let child = Command::new(shell).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            // Not every machine has them all.
            let Ok(mut child) = child else { continue };
            let mut stdin = child.stdin.take().unwrap();
            let script = script.clone();
            let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap().unwrap();
            let shown: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
            let expected: Vec<&[u8]> = values.iter().map(String::as_bytes).chain([&b""[..]]).collect();
            assert_eq!(shown, expected, "{shell}");
        }
    }

    #[test]
    fn a_portal_is_named_by_its_company_or_else_by_its_base_url() {
        let shown = |base_url: &str| {
            let variables = portal_variables(&PortalAddress::at(base_url, None).unwrap());
            let shown = variables.iter().map(|(name, value)| format!("{name}={}", value.as_str()));
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("https://acme.logicmonitor.com/santaba/rest"), "LM_COMPANY=acme");
        assert_eq!(shown("https://acme.lmgov.us/santaba/rest"), "LM_COMPANY=acme LM_DOMAIN_NAME=lmgov.us");
        for other in [
            "https://acme.example.com/santaba/rest",
            "https://acme.logicmonitor.com:8443/santaba/rest",
            "https://acme.logicmonitor.com/gateway/santaba/rest",
            "http://127.0.0.1:8080/santaba/rest",
        ] {
            assert_eq!(shown(other), format!("LM_BASE_URL={other}"));
        }
    }
}
