//! Arguments and results whose types are narrower for type checkers than PyO3 derives. The types of arguments have their
//! names in `lmtokens._types`.

use std::convert::Infallible;
use std::path::PathBuf;

use pyo3::IntoPyObjectExt as _;
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
    FilePath = "path";
    JournalPath = "journal";
}

macro_rules! literals {
    ($($(#[$attribute:meta])* $name:ident($type:ty) = $kind:ident: $($value:literal)|+;)*) => {
        $(
            $(#[$attribute])*
            pub(crate) struct $name(pub(crate) $type);

            impl<'py> IntoPyObject<'py> for $name {
                type Target = PyAny;
                type Output = Bound<'py, PyAny>;
                type Error = PyErr;

                #[cfg(feature = "stubs")]
                const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
                    pyo3::type_hint_identifier!("typing", "Literal"),
                    $(pyo3::inspect::PyStaticExpr::Constant {
                        value: pyo3::inspect::PyStaticConstant::$kind($value),
                    }),+
                );

                fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
                    self.0.into_bound_py_any(py)
                }
            }
        )*
    };
}

literals! {
    /// The number of a status.
    StatusNumber(i64) = Int: "1" | "2";
    /// The word for a type of token.
    TypeWord(&'static str) = Str: "lmv1" | "bearer";
    /// The word for a kind of credentials.
    CredentialsKind(&'static str) = Str: "LMv1" | "bearer";
    /// The state of a row after a run.
    RowState(&'static str) = Str: "created" | "failed" | "unknown" | "skipped";
    /// The state of an entry of a journal.
    EntryState(&'static str) = Str: "created" | "pending" | "failed" | "unknown" | "damaged";
}

/// The object whose method was called, of whatever subclass.
pub(crate) struct SelfObject(pub(crate) Py<PyAny>);

impl<'py> IntoPyObject<'py> for SelfObject {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_identifier!("typing_extensions", "Self");

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(self.0.into_bound(py))
    }
}
