//! Arguments whose types have names in `lmtokens._types`, for type checkers.

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
    /// A callable that takes seconds.
    OnWait;
    /// A callable that takes (done, total), or a flag.
    Progress;
    /// The rows of a bulk run.
    Rows;
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
