//! `lmtokens explain`.

use clap::Args;

use super::data;
use super::exit;
use super::host::Host;
use super::output::{self, ListFormat, Output, ReportFormat};
use super::report::Failure;
use crate::clock::SystemClock;
use crate::credentials::Arguments;
use crate::error::Error;
use crate::explain::{self, Explanation, SentRequest};
use crate::{printable, signer};

/// Find the mistake in an LMv1 header that other code made
///
/// Reads the access id and key from the usual credential sources. The portal is not contacted. Known mistakes are tried one by
/// one and in pairs; a mistake is reported only if it gives exactly this signature. The exit code is 0 if the header is
/// correct, else 1. An epoch more than 30 minutes away from this machine's clock is reported, but does not make the header
/// incorrect.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::AUTHENTICATION]))]
pub(super) struct Explain {
    /// Set the HTTP method of the request
    #[arg(long)]
    method: String,
    /// Set the path of the request with its query, or its URL; with or without /santaba/rest
    #[arg(long)]
    path: String,
    /// Set the body of the request: a text, @FILE for the bytes of a file, or @- for those of standard input
    #[arg(long, allow_hyphen_values = true, default_value = "", hide_default_value = true)]
    data: String,
    /// Set the value of the Authorization header; - reads it from standard input, since it is a credential for 30 minutes
    #[arg(long, value_name = "HEADER")]
    authorization: String,
    /// Select the output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value = "text")]
    output: ReportFormat,
    /// Use the key of a profile [env: LM_PROFILE] [default: the default profile, if the environment has no credentials]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  ./script.sh | lmtokens explain --method GET --path '/setting/admins?size=5' --authorization -
  ./script.sh | lmtokens explain --method PUT --path /x --data @body.json --authorization -";

impl Explain {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let output = Output::open()?;
        if self.authorization == "-" && self.data == "@-" {
            let message =
                "both --authorization and --data read from standard input; expected at most one of them";
            return Err(Error::argument(message).into());
        }
        let is_piped = self.authorization == "-";
        if !is_piped {
            // A header that is refused needs no prompt.
            explain::header_value(&self.authorization)?;
        }
        let arguments = Arguments { profile: self.profile, ..Arguments::default() };
        let pair = signer::signing_pair(&arguments, host, host.prompt.as_ref());
        let pair = host.unless_interrupted(pair)??;
        let data = data::read(&self.data)?;
        let request = SentRequest::new(&self.method, &self.path, &data)?;
        let header = if is_piped {
            String::from_utf8(data::standard_input()?)
                .map_err(|_| Error::argument("the header on standard input is not valid UTF-8"))?
        } else {
            self.authorization
        };
        let explanation = pair.explain(&header, request, &SystemClock)?;
        output.write(&match self.output {
            ReportFormat::Text => text(&explanation),
            ReportFormat::Json => output::one(&explanation.members(), ListFormat::Json)?,
        })?;
        Ok(if explanation.correct { exit::DONE } else { exit::FAILED })
    }
}

fn text(explanation: &Explanation) -> String {
    let verdict = if explanation.correct { "correct" } else { "incorrect" };
    let mut lines = vec![verdict.to_owned()];
    for cause in &explanation.causes {
        lines.push(format!("{}: {}", cause.name(), cause.explanation()));
    }
    if let Some(string) = explanation.string_to_sign.as_ref().filter(|_| !explanation.correct) {
        lines.push(format!("string to sign: {}", printable::line(string)));
    }
    lines.join("\n") + "\n"
}
