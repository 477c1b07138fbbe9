//! Rich display in notebooks. The HTML is made by `lmtokens._display`, which is loaded by the first display.

use pyo3::prelude::*;

use crate::printable;
use crate::python::operations::bulk::BulkRun;
use crate::python::operations::list::TokenIterator;
use crate::python::types::audit::{Audit, Finding};
use crate::python::types::explanation::{SignatureCause, SignatureExplanation};
use crate::python::types::journal_entry::JournalEntry;
use crate::python::types::listed_user::User;
use crate::python::types::new_token::NewToken;
use crate::python::types::rotation::Rotation;
use crate::python::types::row_result::{RowResult, Summary};
use crate::python::types::swept_token::SweptToken;
use crate::python::types::token::Token;
use crate::python::types::whoami::Whoami;

macro_rules! displayed {
    ($($class:ident),* $(,)?) => {
        $(
            #[pymethods]
            impl $class {
                #[pyo3(signature = () -> "str")]
                fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                    slf.py().import("lmtokens._display")?.call_method1("html", (slf,))
                }
            }
        )*
    };
}

displayed! {
    Audit,
    BulkRun,
    Finding,
    JournalEntry,
    NewToken,
    Rotation,
    RowResult,
    SignatureCause,
    SignatureExplanation,
    Summary,
    SweptToken,
    Token,
    TokenIterator,
    User,
    Whoami,
}

/// Return a text as a part of one line, with its hidden characters escaped.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub(crate) fn _printable(text: &str) -> String {
    printable::line(text)
}
