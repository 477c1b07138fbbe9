//! Remedies in the terms of the Python API.

use std::borrow::Cow;

use crate::advice::Advice;

/// Returns the words of a remedy.
pub(crate) fn words(advice: &Advice) -> Cow<'static, str> {
    Cow::Borrowed(match advice {
        Advice::Text(text) => return text.clone(),
        Advice::Overwrite => "use another path, or pass overwrite=True",
        Advice::OverwriteEntry => "use another name, or pass overwrite=True",
        Advice::TrustFolder => {
            "use a folder that only you can write to, or pass trust_folder=True if you trust its other users"
        }
        Advice::ResumeExisting => {
            "resume it with resume=True, or use another path and keep this journal: it holds keys"
        }
        Advice::ResumeAfterRepair => "free disk space or repair the folder, then resume with resume=True",
        Advice::ReadIntactLines => {
            "read its intact lines with read_journal(path, skip_damaged=True), and create the missing rows in a new run; or \
             restore the journal"
        }
        Advice::ResumeWithViewer => "resume with credentials that can view API tokens",
        Advice::DisableLock => {
            "the file system has no locks: pass lock=False if no other process uses this journal"
        }
        Advice::TrustOwner => "pass trust_folder=True if you trust its owner",
        Advice::Force => "use other credentials, or pass force=True",
        Advice::Sweep => "sweep_tokens() deletes it once it is an hour old and still disabled",
        Advice::ResumeOrSweep => {
            "resume=True removes its pending tokens, and so does sweep_tokens() once they are an hour old"
        }
        Advice::Finish { id, note, status } => {
            return format!(
                "finish it with lmtokens.update_token({id}, note={note:?}, status={}), or delete the token and the key",
                status.number()
            )
            .into();
        }
        Advice::Delete { id } => return format!("delete it with lmtokens.delete_token({id})").into(),
        Advice::UseReported { id } => {
            return format!(
                "the error's token attribute holds token {id} with its key: compare it with the user's list of tokens before you \
                 use it"
            )
            .into();
        }
        Advice::Repeat => "call again with the same arguments: the call finishes this create",
        Advice::PutInPlace => {
            "the key is safe: call again with the same user, type, note and status, which puts it in place"
        }
        Advice::RotateAgain => {
            "call rotate_token again with the same destination, which continues the rotation"
        }
        Advice::CancelRotation { id } => {
            return format!("cancel the rotation with lmtokens.cancel_rotation({id})").into();
        }
        Advice::FileFormat { format } => return format!("pass format={format:?}").into(),
        Advice::EndRotation { old, new } => {
            return format!(
                "to rotate token {new} before that, call lmtokens.delete_token({old}), then \
                 lmtokens.finish_rotations({new})"
            )
            .into();
        }
        Advice::TakeOver { seconds } => {
            return format!(
                "rotate it again in {seconds} s; with take_over=True, 12 minutes after the create suffice"
            )
            .into();
        }
        Advice::AllowBearer => "pass allow_bearer=True to rotate it",
        Advice::WaitLonger => "call again later, or pass a larger max_wait",
        Advice::FailInstead { is_limited: true } => {
            "to fail instead, give the client a smaller max_wait or on_limit=\"raise\""
        }
        Advice::FailInstead { is_limited: false } => "to fail instead, give the client on_limit=\"raise\"",
        Advice::NameCompany => {
            "pass company=\"acme\" (for acme.logicmonitor.com) or profile=, or set LM_COMPANY"
        }
        Advice::SupplyCredentials => {
            "pass access_id= and access_key= (or bearer_token=) or profile=, or set LM_ACCESS_ID and LM_ACCESS_KEY (or \
             LM_BEARER_TOKEN)"
        }
        Advice::ProxyCredentials => {
            "put them into the proxy's URL, percent-encoded (http://USER:PASSWORD@HOST:PORT), as proxy= or in HTTPS_PROXY"
        }
        Advice::TrustAuthority => {
            "if you trust its issuer, such as a gateway that inspects TLS, add its CA certificate to the CA bundle (ca_bundle or \
             SSL_CERT_FILE)"
        }
        Advice::SupplyClientCertificate => "pass a certificate as client_cert=",
    })
}
