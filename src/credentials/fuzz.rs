use super::credential_process::{NotATime, parse};
use super::{Arguments, KeyringEntry};
use crate::fuzz::{assert_hides_secret, text};
use crate::secret::Secret;

/// Reads what a command of a profile printed, which an entry of a keyring can be too. Errors repeat nothing of it.
pub(crate) fn fuzz_command_output(input: &[u8]) {
    let output = Secret::new(text(input).into_owned());
    let id = Secret::new("exampleAccessId00001".to_owned());
    let settings = Arguments { access_id: Some(id), ..Arguments::default() };
    let _ = KeyringEntry::read(&output);
    let Some((read, expires)) = parse(&output, &settings) else { return };
    assert!(read.access_key.is_some() || read.bearer_token.is_some());
    if !output.reveal().contains('"') {
        assert_eq!(read.access_key.as_ref(), Some(&output));
    }
    if let Some(Ok(expiry)) = expires {
        let _ = expiry.time(1_800_000_000_000);
    } else {
        assert!(matches!(expires, None | Some(Err(NotATime))));
    }
    match read.credentials() {
        Ok(credentials) => assert!(credentials.is_some()),
        Err(error) => assert_hides_secret(&error),
    }
}
