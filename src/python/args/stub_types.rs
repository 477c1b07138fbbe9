//! Arguments whose types are narrower for type checkers than PyO3 derives: their names are those of `lmtokens._types`.

use std::convert::Infallible;
use std::path::PathBuf;

use pyo3::prelude::*;

use super::plain;

macro_rules! named {
    ($($(#[$attribute:meta])* $name:ident;)*) => {
        $(
            $(#[$attribute])*
            pub(crate) struct $name(pub(crate) Py<PyAny>);

            impl FromPyObject<'_, '_> for $name {
                type Error = Infallible;

                #[cfg(feature = "stubs")]
                const INPUT_TYPE: pyo3::inspect::PyStaticExpr =
                    pyo3::type_hint_identifier!("lmtokens._types", stringify!($name));

                fn extract(object: Borrowed<'_, '_, PyAny>) -> Result<Self, Infallible> {
                    Ok(Self(object.to_owned().unbind()))
                }
            }
        )*
    };
}

named! {
    /// A callable that returns credentials.
    CredentialsCallable;
    /// A callable that takes seconds.
    OnWait;
    /// A callable that takes (done, total), or a flag.
    Progress;
    /// The rows of a bulk run.
    Rows;
    /// Values to compare a field with.
    Values;
    /// A program and its arguments.
    Words;
}

macro_rules! paths {
    ($($name:ident = $argument:literal;)*) => {
        $(
            pub(crate) struct $name(pub(crate) PathBuf);

            impl<'a, 'py> FromPyObject<'a, 'py> for $name {
                type Error = PyErr;

                #[cfg(feature = "stubs")]
                const INPUT_TYPE: pyo3::inspect::PyStaticExpr = PathBuf::INPUT_TYPE;

                fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
                    plain::path($argument, &object).map(Self)
                }
            }
        )*
    };
}

paths! {
    CaBundle = "ca_bundle";
    ReportPath = "diff";
    FilePath = "path";
    JournalPath = "journal";
}
