#![allow(clippy::panic, reason = "a target fails by panicking")]

use std::path::PathBuf;

use super::{Edit, Layout};
use crate::credentials::{Arguments, ConfigFile, Credentials, Environment, config_path};
use crate::error::Result;
use crate::fuzz::{SECRET, assert_hides_secret, text};
use crate::secret::Secret;

/// An environment that names the configuration file.
struct NamedFile;

impl Environment for NamedFile {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        Ok((name == "LM_CONFIG_FILE").then(|| "config.toml".to_owned()))
    }
}

/// Reads a configuration file and all its profiles. Errors repeat nothing of it except the names of profiles. A profile
/// that is added or replaced, and then removed, leaves the others as they were.
pub(crate) fn fuzz_profiles(input: &[u8]) {
    let text = text(input);
    let Ok(path) = config_path(&NamedFile) else { panic!("the file has no path") };
    let parse = |text: &str| ConfigFile::parse(path.clone(), text);
    let file = match parse(&text) {
        Ok(file) => file,
        Err(error) => return assert_hides_secret(&error),
    };
    let names: Vec<String> = file.names().unwrap_or_default().into_iter().map(str::to_owned).collect();
    if let Err(error) = file.default_name() {
        assert_hides_secret(&error);
    }
    let settings = Arguments { company: Some("acme".to_owned()), ..Arguments::default() };
    let key = Secret::new("another-key-0123456789".to_owned());
    let Ok(credentials) = Credentials::from_pair(Some("exampleAccessId00001"), key) else {
        panic!("the credentials are refused");
    };
    for name in names.first().map(String::as_str).into_iter().chain(["added"]) {
        let Ok(file) = parse(&text) else { return };
        let others = profiles_without(name, &file);
        let layout = Layout::of(file.text());
        let document = file.into_document();
        let mut edit = Edit { path: path.clone(), target: PathBuf::new(), document, layout, _lock: None };
        let is_set = edit.set_profile(name, &settings, &credentials, false);
        assert!(is_set.is_ok(), "{is_set:?}: {text}\nbecame\n{}", edit.document);
        edit.set_default(name);
        let Ok(changed) = edit.parsed() else { panic!("{text}\nbecame\n{}", edit.document) };
        assert_eq!(profiles_without(name, &changed), others);
        assert_eq!(changed.default_name().ok(), Some(Some(name)));
        let Ok(profile) = changed.profile(name, "") else { panic!("{}", edit.document) };
        assert_eq!(profile.settings.company, settings.company);
        let read = profile.credentials(&NamedFile).ok().flatten().map(|supplied| supplied.credentials);
        assert_eq!(read.as_ref(), Some(&credentials));
        edit.remove(name);
        let Ok(changed) = edit.parsed() else { panic!("{text}\nbecame\n{}", edit.document) };
        assert_eq!(profiles_without(name, &changed), others);
        assert_eq!(changed.default_name().ok(), Some(None));
        assert!(!changed.names().unwrap_or_default().contains(&name), "{}", edit.document);
    }
}

/// Returns the names and the settings of the other profiles, `None` for those that are not valid.
fn profiles_without(name: &str, file: &ConfigFile) -> Vec<(String, Option<String>)> {
    let names = file.names().unwrap_or_default();
    let shows_secret = names.iter().any(|name| name.contains(SECRET));
    let others = names.into_iter().filter(|other| *other != name);
    let profiles = others.map(|name| match file.profile(name, "") {
        Ok(profile) => {
            if let Err(error) = profile.portal(None)
                && !shows_secret
            {
                assert_hides_secret(&error);
            }
            let Arguments { company, domain, base_url, access_id, access_key, bearer_token, .. } =
                &profile.settings;
            let secrets = [access_id, access_key, bearer_token].map(|it| it.as_ref().map(Secret::reveal));
            let outside = if let Some(outside) = profile.outside() { outside.key() } else { "" };
            (name.to_owned(), Some(format!("{company:?} {domain:?} {base_url:?} {secrets:?} {outside}")))
        }
        Err(error) => {
            if !shows_secret {
                assert_hides_secret(&error);
            }
            (name.to_owned(), None)
        }
    });
    profiles.collect()
}
