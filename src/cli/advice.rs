//! The wording of messages and of [`Advice`] for the shell.

use std::borrow::Cow;

use crate::advice::Advice;
use crate::token_output::quoted;

/// Returns a remedy in the terms of the shell.
pub(super) fn words(advice: &Advice) -> Cow<'static, str> {
    let text = match advice {
        Advice::Text(text) => return text.clone(),
        Advice::Finish { id, note, status } => {
            return format!(
                "finish token {id} with lmtokens update {id} --note={} --status {status}, or delete both the token and the \
                 delivered key",
                quoted(note)
            )
            .into();
        }
        Advice::Delete { id } => {
            return format!("delete it with lmtokens delete {id}").into();
        }
        Advice::UseReported { id } => {
            return format!("compare token {id} with the user's list of tokens before you use it").into();
        }
        Advice::Overwrite => "choose another file, or pass --overwrite to replace the existing one",
        Advice::OverwriteEntry => "choose another name, or pass --overwrite to replace the existing entry",
        Advice::TrustFolder => {
            "use a folder that only you can write to, or pass --trust-folder if you trust its other users"
        }
        Advice::ResumeExisting => "pass --resume to continue the run of this journal, or choose another path",
        Advice::ResumeAfterRepair => "repair the cause, then run the command again with --resume",
        Advice::ReadIntactLines => {
            "print the keys in its intact lines with lmtokens bulk --journal PATH --export --skip-damaged, and create the \
             missing rows in a new run; or restore the journal"
        }
        Advice::ResumeWithViewer => {
            "run the command again with --resume and with credentials that may view API tokens"
        }
        Advice::DisableLock => {
            "pass --no-lock if the file system has no locks, and run only one process per journal"
        }
        Advice::TrustOwner => "pass --trust-folder if you trust its owner",
        Advice::Force => "use other credentials, or pass --force to change the token anyway",
        Advice::Sweep => "run lmtokens sweep --yes when the token is more than an hour old",
        Advice::ResumeOrSweep => {
            "delete the pending tokens: run the command again with --resume, or lmtokens sweep --yes after an hour"
        }
        Advice::Repeat => "run the same command again: it finishes this create",
        Advice::PutInPlace => {
            "the key is safe: run the command again with the same user, type, note and status, which puts it in place"
        }
        Advice::RotateAgain => "run the same command again: it continues the rotation",
        Advice::CancelRotation { id } => {
            return format!("cancel the rotation with lmtokens rotate --cancel {id}").into();
        }
        Advice::FileFormat { format } => return format!("pass --format {format}").into(),
        Advice::EndRotation { old, new } => {
            return format!(
                "to rotate token {new} before that, run lmtokens delete {old} --yes, then lmtokens rotate --finish \
                 {new}"
            )
            .into();
        }
        Advice::TakeOver { seconds } => {
            return format!(
                "run the command again in {seconds} s; with --take-over, 12 minutes after the create suffice"
            )
            .into();
        }
        Advice::AllowBearer => "pass --allow-bearer to rotate it",
        Advice::WaitLonger => {
            "try again later, or allow a longer wait with --max-wait; all clients of the portal share the rate limit"
        }
        Advice::FailInstead { is_limited: true } => "pass a smaller --max-wait to fail instead",
        // Only a bulk run has no limit.
        Advice::FailInstead { is_limited: false } => "Ctrl-C stops the run, and --resume continues it",
        Advice::NameCompany => {
            "pass --company acme (for acme.logicmonitor.com) or --profile, or set LM_COMPANY in the environment"
        }
        Advice::SupplyCredentials => {
            "set LM_ACCESS_ID and LM_ACCESS_KEY, or LM_BEARER_TOKEN, in the environment, or pass --profile"
        }
        Advice::ProxyCredentials => {
            "put the proxy's credentials into its URL: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
        }
        Advice::TrustAuthority => {
            "if you trust its issuer, such as a gateway that inspects TLS, set SSL_CERT_FILE to a CA bundle with its CA \
             certificate"
        }
        Advice::SupplyClientCertificate => {
            "pass client_cert to lmtokens.Client in Python; the command line has no client certificates"
        }
    };
    text.into()
}

/// Names of Python in the core's messages, and what the shell calls the same.
const TERMS: [(&str, &str); 4] = [
    ("invalid max_wait ", "invalid --max-wait "),
    ("invalid resource_path: ", "invalid PATH: "),
    ("the wait would exceed max_wait=", "the wait would exceed --max-wait "),
    ("expected a Token, its id ", "expected its id "),
];

/// Returns a message of the core in the terms of the shell.
pub(super) fn in_shell_terms(message: &str) -> String {
    TERMS.iter().fold(message.to_owned(), |message, (python, shell)| message.replace(python, shell))
}
