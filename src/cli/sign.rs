//! `lmtokens sign`.

use clap::Args;

use super::data;
use super::exit;
use super::host::Host;
use super::output::Output;
use super::report::Failure;
use crate::clock::{Clock as _, SystemClock};
use crate::credentials::{self, Arguments, Credentials};
use crate::error::Error;
use crate::lmv1::{self, Request};

/// Print the Authorization header of one request, for a request that you send yourself
///
/// The header is a credential: the portal accepts it for 30 minutes, for the same method, path and body only. The
/// portal is not contacted.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[exit::AUTHENTICATION]))]
pub(super) struct Sign {
    /// HTTP method
    #[arg(value_name = "METHOD")]
    method: String,
    /// Percent-decoded path after /santaba/rest, without the query
    #[arg(value_name = "PATH")]
    path: String,
    /// Sign this body: a text, @FILE for the bytes of a file, or @- for those of standard input. GET and HEAD do not
    /// send a body: the signature does not cover it [default: no body]
    #[arg(long, allow_hyphen_values = true, default_value = "", hide_default_value = true)]
    data: String,
    /// Use the key of a profile [env: LM_PROFILE] [default: the default profile, if the environment has no credentials]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

const EXAMPLES: &str = r#"Examples:
  curl -H "Authorization: $(lmtokens sign GET /x)" -H 'X-Version: 3' "$LM_BASE_URL/x"
  lmtokens sign POST /setting/admins/32/apitokens --data @body.json"#;

impl Sign {
    pub(super) fn run(self, host: &Host) -> Result<u8, Failure> {
        let method = lmv1::check_method(&self.method)?;
        lmv1::check_resource_path(&self.path)?;
        let output = Output::open()?;
        let credentials = credentials::credentials(
            &Arguments { profile: self.profile, ..Arguments::default() },
            host,
            host.prompt.as_ref(),
        );
        let credentials = host.unless_interrupted(credentials)??;
        if let Credentials::Bearer { .. } = credentials {
            let problem = "a bearer token does not sign: it is itself what is sent with every request";
            return Err(Error::credentials(problem).suggest("set LM_ACCESS_ID and LM_ACCESS_KEY").into());
        }
        let body = data::read(&self.data)?;
        let timestamp_ms = SystemClock.now_ms();
        let request = Request { method: &method, timestamp_ms, body: &body, resource_path: &self.path };
        output.write(&format!("{}\n", credentials.authorization(&request)))?;
        Ok(exit::DONE)
    }
}
