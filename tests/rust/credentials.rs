//! Credential sources: which one wins, half pairs, and that no error repeats a credential.

mod chain;
mod leaks;
mod not_text;
mod refusals;
mod timeouts;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use lmtokens::testing::credentials::{Arguments, Credentials, Identity};
use lmtokens::testing::credentials::{Environment, NoPrompt, Prompt};
use lmtokens::testing::error::Result;
use lmtokens::testing::secret::Secret;

use crate::support::{ACCESS_ID, ACCESS_KEY, BEARER, secret};

pub(crate) struct FakeEnvironment(HashMap<String, String>);

impl Environment for FakeEnvironment {
    fn variable(&self, name: &str) -> Result<Option<String>> {
        Ok(self.0.get(name).cloned())
    }
}

pub(crate) fn environment(variables: &[(&str, &str)]) -> FakeEnvironment {
    FakeEnvironment(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// A prompt with prepared answers. It records the questions and whether their answers are hidden.
struct FakePrompt {
    answers: RefCell<VecDeque<String>>,
    asked: RefCell<Vec<(String, bool)>>,
}

impl FakePrompt {
    fn answering(answers: &[&str]) -> Self {
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        Self { answers: RefCell::new(answers), asked: RefCell::default() }
    }

    fn answer(&self, question: &str, hidden: bool) -> String {
        self.asked.borrow_mut().push((question.to_owned(), hidden));
        self.answers.borrow_mut().pop_front().unwrap_or_else(|| panic!("unexpected question {question:?}"))
    }

    /// The first words of each question, and whether its answer was hidden.
    fn asked(&self) -> Vec<(String, bool)> {
        let start = |(question, hidden): &(String, bool)| {
            (question.split_inclusive(' ').take(2).collect::<String>().trim().to_owned(), *hidden)
        };
        self.asked.borrow().iter().map(start).collect()
    }
}

impl Prompt for FakePrompt {
    fn is_available(&self) -> bool {
        true
    }

    fn ask(&self, question: &str) -> Result<String> {
        Ok(self.answer(question, false))
    }

    fn ask_secret(&self, question: &str) -> Result<Secret> {
        Ok(Secret::new(self.answer(question, true)))
    }
}

fn pair_arguments() -> Arguments {
    Arguments {
        company: Some("acme".to_owned()),
        access_id: Some(secret(ACCESS_ID)),
        access_key: Some(secret(ACCESS_KEY)),
        ..Arguments::default()
    }
}

fn resolve(arguments: &Arguments, variables: &[(&str, &str)]) -> Result<Identity> {
    Identity::resolve(arguments, &environment(variables), &NoPrompt)
}

/// Resolves with the environment and a company only.
fn from_environment(variables: &[(&str, &str)]) -> Result<Identity> {
    let arguments = Arguments { company: Some("acme".to_owned()), ..Arguments::default() };
    resolve(&arguments, variables)
}

fn lmv1(access_id: &str, access_key: &str) -> Option<Credentials> {
    Credentials::from_pair(Some(access_id), secret(access_key)).ok()
}

fn bearer(token: &str) -> Option<Credentials> {
    Credentials::from_bearer(secret(token)).ok()
}
