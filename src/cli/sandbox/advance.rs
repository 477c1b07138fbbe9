//! `lmtokens sandbox advance`: a request to the control of a running sandbox.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use url::{Position, Url};

use crate::cli::exit;
use crate::error::{Error, ErrorKind, Result};
use crate::times::duration;

const HINT: &str = "run the command inside lmtokens sandbox -- COMMAND";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Advance the clock of the running sandbox in LM_BASE_URL
///
/// The times that the sandbox reports, its rate limits and its lags follow. Signatures remain valid: the sandbox compares
/// them with the clock as it would be without advances.
#[derive(Args)]
#[command(after_help = exit::help(EXAMPLES, &[]))]
pub(super) struct Advance {
    /// Time span, such as 90s, 30m, 24h or 7d, or a number of seconds; it adds to earlier advances
    #[arg(value_name = "DURATION", value_parser = duration)]
    by: Duration,
}

const EXAMPLES: &str = "\
Examples:
  lmtokens sandbox -- sh -c 'lmtokens sandbox advance 24h; lmtokens sweep'";

impl Advance {
    pub(super) fn run(&self) -> Result<u8> {
        let base_url = std::env::var("LM_BASE_URL").unwrap_or_default();
        let addresses = control_addresses(&base_url)?;
        let body = json!({ "seconds": self.by.as_secs_f64() }).to_string();
        let response = post(&addresses, "/sandbox/advance", &body).map_err(|cause| {
            let message = format!("cannot reach the sandbox in LM_BASE_URL: {cause}");
            Error::new(ErrorKind::Connect, message).suggest(HINT)
        })?;
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
        if head.split(' ').nth(1) == Some("200") {
            return Ok(exit::DONE);
        }
        let reason = serde_json::from_str(body)
            .ok()
            .and_then(|body: Value| Some(body.get("error")?.as_str()?.to_owned()));
        Err(reason.map_or_else(|| not_a_sandbox(&base_url), Error::argument))
    }
}

/// Returns the addresses of the sandbox, which are on loopback: another portal must not get the request.
fn control_addresses(base_url: &str) -> Result<Vec<SocketAddr>> {
    let addresses = Url::parse(base_url).ok().and_then(|url| url.socket_addrs(|| None).ok());
    addresses
        .filter(|all| !all.is_empty() && all.iter().all(|address| address.ip().is_loopback()))
        .ok_or_else(|| not_a_sandbox(base_url))
}

/// The error shows the host and port alone: a URL may contain a password.
fn not_a_sandbox(base_url: &str) -> Error {
    let message = match Url::parse(base_url) {
        _ if base_url.is_empty() => "LM_BASE_URL is not set; expected the address of a sandbox".to_owned(),
        Ok(url) if url.has_host() => {
            let host = &url[Position::BeforeHost..Position::AfterPort];
            format!("LM_BASE_URL is not the address of a sandbox: {host}")
        }
        _ => "LM_BASE_URL is not a URL; expected the address of a sandbox".to_owned(),
    };
    Error::configuration(message).suggest(HINT)
}

/// Sends a request and returns the whole response.
fn post(addresses: &[SocketAddr], path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(addresses)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}
