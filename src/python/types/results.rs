//! Lists of results, which notebooks show as tables.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyList, PyType};

use crate::client::Client;
use crate::error::Result;
use crate::event::Event;
use crate::operation::Operation;

/// The results of an operation: to Python, a `list` of a subclass that has a rich display.
pub(crate) struct Results<T>(pub(crate) Vec<T>);

static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

impl<'py, T: IntoPyObject<'py>> IntoPyObject<'py> for Results<T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr =
        pyo3::type_hint_subscript!(pyo3::type_hint_identifier!("builtins", "list"), T::OUTPUT_TYPE);

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        CLASS.import(py, "lmtokens._display", "Results")?.call1((PyList::new(py, self.0)?,))
    }
}

/// An operation whose results are a list.
pub(crate) struct Listed<O>(pub(crate) O);

impl<T: Send + 'static, O: Operation<Output = Vec<T>>> Operation for Listed<O> {
    type Output = Results<T>;

    const OUTLASTS_INTERRUPT: bool = O::OUTLASTS_INTERRUPT;

    async fn run(self, client: &Client) -> Result<Results<T>> {
        self.0.run(client).await.map(Results)
    }

    fn lost_result(Results(results): &Results<T>) -> Option<Event> {
        O::lost_result(results)
    }
}
