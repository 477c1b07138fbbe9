//! One call for each of several tokens.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use clap::Args;

use super::connection::Connection;
use super::dry_run;
use super::exit;
use super::host::Host;
use super::output::{self, Output};
use super::report::{Failure, report, say, say_failure};
use super::signals::run_until_signal;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::operation::{Operation, call, planned_request};
use crate::printable;
use crate::tokens::{FindToken, Target, Whoami};

/// The tokens of a command that changes each of them.
#[derive(Args)]
pub(super) struct Each {
    /// Ids or access ids of the tokens
    #[arg(value_name = "TOKEN", required = true, allow_negative_numbers = true)]
    tokens: Vec<String>,
    /// Print the requests that would change the tokens without sending them
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

/// A token as the command line names it.
struct Given {
    text: String,
    find: FindToken,
    /// Whether it signs the calls, and others are changed before it.
    is_last_own: bool,
}

impl Each {
    /// Runs an operation on each token and prints a line for it with the word for what was done. After a rejection of
    /// the credentials, no further token is tried: repeated failures lock a token. With `confirms`, the user is asked
    /// first. `includes_own` says that the operation may end the calling token, which therefore comes last.
    pub(super) fn run<O: Operation>(
        self,
        host: &Host,
        done: &str,
        confirms: bool,
        includes_own: bool,
        operation: impl Fn(Target) -> O,
    ) -> Result<u8, Failure> {
        let mut given = HashSet::new();
        let tokens: Vec<&str> =
            self.tokens.iter().map(String::as_str).filter(|text| given.insert(*text)).collect();
        let parse = |text: &str| Ok(Given { text: text.to_owned(), find: text.parse()?, is_last_own: false });
        let mut all_given: Vec<Given> = tokens.iter().map(|text| parse(text)).collect::<Result<_>>()?;
        let confirms = confirms && !self.dry_run;
        if confirms && !host.prompt.is_available() {
            let problem = "no prompt available to confirm the deletion";
            return Err(Error::argument(problem).suggest("pass --yes to delete without asking").into());
        }
        let output = Arc::new(Mutex::new(Output::open()?));
        let client = self.connection.client(host, self.dry_run)?;
        if confirms && !confirm(host, &client, &tokens)? {
            say("nothing was changed");
            return Ok(exit::FAILED);
        }
        all_given = run_until_signal(without_repeated(all_given, &client))?;
        if includes_own && all_given.len() > 1 {
            all_given = run_until_signal(own_last(all_given, &client))?;
        }
        let total = all_given.len();
        let mut succeeded = 0;
        let mut failures = Vec::new();
        let mut is_rejected = false;
        let mut in_progress = None;
        let all = async {
            for (position, Given { text, find, is_last_own }) in all_given.into_iter().enumerate() {
                let label = match &find {
                    FindToken::Id(id) => format!("token {id}"),
                    // The access id is not repeated: it may be a key in the wrong place.
                    FindToken::AccessId(_) => format!("token {} of {total}", position + 1),
                };
                // Its credentials are needed to repeat the command for the others.
                if is_last_own && !self.dry_run && failures.iter().any(|code| *code != exit::NOT_FOUND) {
                    let problem = format!("{label} was not {done}: it signs the calls, and others failed");
                    report(&Error::new(ErrorKind::SelfLockout, problem).suggest("repeat the command"));
                    failures.push(exit::FAILED);
                    break;
                }
                let operation = operation(Target::Find(find));
                in_progress = Some(label.clone());
                let line = if self.dry_run {
                    planned_request(operation, &client).await.map(|request| dry_run::shown(&request, &client))
                } else {
                    call(operation, &client).await.map(|_| format!("{text} {done}\n"))
                };
                in_progress = None;
                match line {
                    Ok(line) => {
                        succeeded += 1;
                        output::write_in_background(&output, line, Output::write_durably).await?;
                    }
                    Err(mut error) => {
                        if error.details().maybe_applied {
                            failures.push(exit::OUTCOME_UNKNOWN);
                            error = error.suggest(format!("look at it with lmtokens show: it may be {done}"));
                        } else {
                            failures.push(exit::of(&error));
                        }
                        if total > 1 {
                            error.details_mut().message.insert_str(0, &format!("{label}: "));
                        }
                        report(&error);
                        is_rejected = error.kind() == ErrorKind::Authentication;
                        if error.is_credential_rejection() {
                            break;
                        }
                    }
                }
            }
            Ok(())
        };
        let ended = run_until_signal(all);
        if let Some(label) = in_progress.filter(|_| !self.dry_run) {
            say_failure(&format!("{label} may be {done}: its call was interrupted"));
        }
        if total > 1 && !self.dry_run {
            say(&format!("{succeeded} of {total} {done}"));
        }
        ended?;
        Ok(match failures.as_slice() {
            [] => exit::DONE,
            [.., last] if is_rejected => *last,
            _ if succeeded > 0 => exit::PARTLY_DONE,
            [first, rest @ ..] if rest.iter().all(|other| other == first) => *first,
            _ => exit::FAILED,
        })
    }
}

/// Returns the tokens without those access ids whose tokens are given by id too.
async fn without_repeated(given: Vec<Given>, client: &Client) -> Result<Vec<Given>> {
    let id_of = |given: &Given| match &given.find {
        FindToken::Id(id) => Some(id.get()),
        FindToken::AccessId(_) => None,
    };
    let ids: HashSet<i64> = given.iter().filter_map(id_of).collect();
    let mut kept = Vec::with_capacity(given.len());
    for one in given {
        if !ids.is_empty() && matches!(one.find, FindToken::AccessId(_)) {
            // One that is not found is reported when its turn comes.
            let found = call(one.find.clone(), client).await;
            if found.as_ref().is_ok_and(|token| ids.contains(&token.id)) {
                continue;
            }
            if let Err(error) = found
                && error.is_credential_rejection()
            {
                return Err(error);
            }
        }
        kept.push(one);
    }
    Ok(kept)
}

/// Moves the calling token to the end, once. In another place, the calls after it would use credentials that no longer
/// work.
async fn own_last(mut given: Vec<Given>, client: &Client) -> Result<Vec<Given>> {
    let report = Whoami.run(client).await?;
    let Some(own) = report.token else {
        let problem =
            "the portal does not show which token signs this call, which has to be the last of several";
        return Err(Error::new(ErrorKind::SelfLockout, problem).suggest("pass one token per command"));
    };
    let is_own = |given: &Given| match &given.find {
        FindToken::Id(id) => id.get() == own.id,
        FindToken::AccessId(access_id) => {
            own.access_id.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(access_id.as_str()))
        }
    };
    for given in &mut given {
        given.is_last_own = is_own(given);
    }
    given.sort_by_key(|given| given.is_last_own);
    let others = given.iter().filter(|given| !given.is_last_own).count();
    given.truncate(others + 1);
    Ok(given)
}

/// Asks whether to delete the tokens. Later, the handler of signals would keep Ctrl-C from the prompt.
fn confirm(host: &Host, client: &Client, tokens: &[&str]) -> Result<bool, Failure> {
    let names = printable::line(&tokens.join(", "));
    let identity = client.identity();
    let portal = identity.portal.base_url();
    let answer = host.prompt.ask(&format!("Delete permanently from {portal}: {names}? [y/N] "));
    let answer = host.unless_interrupted(answer)?;
    // The end of the input is a no.
    Ok(answer.is_ok_and(|answer| matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")))
}
