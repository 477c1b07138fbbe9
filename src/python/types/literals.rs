//! Results that are one of a few words or numbers, which type checkers know as a `Literal`.

use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;

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
    /// The state of a rotation.
    RotationState(&'static str) = Str: "overlap" | "in_use" | "quarantine" | "finished" | "restored" | "cancelled"
        | "too_late" | "failed";
    /// The state of a row after a run.
    RowState(&'static str) = Str: "created" | "failed" | "unknown" | "skipped";
    /// Why a sweep found a token.
    SweepReason(&'static str) = Str: "orphan" | "expired" | "rotation" | "abandoned";
    /// The state of an entry of a journal.
    EntryState(&'static str) = Str: "created" | "pending" | "failed" | "unknown" | "damaged";
}
