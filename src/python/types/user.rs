//! A user as a result: an `int` or a `str`.

use pyo3::IntoPyObjectExt as _;
use pyo3::prelude::*;
#[cfg(feature = "stubs")]
use pyo3::type_hint_union;

use crate::tokens::User;

impl<'py> IntoPyObject<'py> for &User {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = type_hint_union!(
        pyo3::type_hint_identifier!("builtins", "int"),
        pyo3::type_hint_identifier!("builtins", "str")
    );

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        match self {
            User::Id(id) => id.get().into_bound_py_any(py),
            User::Name(name) => name.as_str().into_bound_py_any(py),
        }
    }
}
