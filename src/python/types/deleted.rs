//! The result of `delete_token`: `None`.

use std::convert::Infallible;

use pyo3::prelude::*;
use pyo3::types::PyNone;

use crate::tokens::Deleted;

impl<'py> IntoPyObject<'py> for Deleted {
    type Target = PyNone;
    type Output = Borrowed<'py, 'py, PyNone>;
    type Error = Infallible;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <PyNone as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(PyNone::get(py))
    }
}
