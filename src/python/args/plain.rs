//! Arguments of plain types. Every message names its argument, and none repeats a value, which may be a secret. PyO3's
//! own errors name the argument in a note only, which CPython has from 3.11 on, and quote texts that cannot be encoded.

use std::path::PathBuf;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};

use crate::ids::{Concurrency, PageSize};
use crate::python::types::enums::is_status;

/// Defines a function for each argument, for PyO3's `from_py_with`.
macro_rules! arguments {
    ($($name:ident: $type:ty = $read:expr;)*) => {
        $(
            pub(crate) fn $name(object: &Bound<'_, PyAny>) -> PyResult<$type> {
                $read(stringify!($name), object)
            }
        )*
    };
}
pub(crate) use arguments;

arguments! {
    method: String = text;
    resource_path: String = text;
    force: bool = flag;
    dry_run: bool = flag;
    resume: bool = flag;
    lock: bool = flag;
    skip_damaged: bool = flag;
    overwrite: bool = flag;
    trust_folder: bool = flag;
    page_size: i64 = number(PageSize::EXPECTED);
    concurrency: i64 = number(Concurrency::EXPECTED);
    timeout: f64 = seconds;
    timestamp_ms: Option<u64> = optional(milliseconds);
}

/// Returns a reader that accepts `None` as well.
pub(crate) fn optional<'a, 'py, T>(
    read: impl Fn(&str, &'a Bound<'py, PyAny>) -> PyResult<T>,
) -> impl Fn(&str, &'a Bound<'py, PyAny>) -> PyResult<Option<T>>
where
    'py: 'a,
{
    move |name, object| if object.is_none() { Ok(None) } else { read(name, object).map(Some) }
}

/// Returns the error for an argument of another type: "NAME must be EXPECTED, not TYPE".
pub(crate) fn wrong_type(name: &str, expected: &str, object: &Bound<'_, PyAny>) -> PyErr {
    match object.get_type().name() {
        Ok(given) => PyTypeError::new_err(format!("{name} must be {expected}, not {given}")),
        Err(error) => error,
    }
}

pub(crate) fn text(name: &str, object: &Bound<'_, PyAny>) -> PyResult<String> {
    match object.cast::<PyString>() {
        Ok(text) => encodable(name, text),
        Err(_) => Err(wrong_type(name, "a str", object)),
    }
}

/// Returns a text that UTF-8 can encode. CPython's own error would carry the whole text.
pub(crate) fn encodable(name: &str, text: &Bound<'_, PyString>) -> PyResult<String> {
    text.to_cow().map(std::borrow::Cow::into_owned).map_err(|_| not_encodable(name))
}

fn not_encodable(name: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{name} cannot be encoded: it holds a surrogate (was it decoded from bytes that are not UTF-8?)"
    ))
}

/// Extracts an object as PyO3 does, with the errors of this file.
pub(crate) fn extract<'a, 'py, T>(name: &str, expected: &str, object: Borrowed<'a, 'py, PyAny>) -> PyResult<T>
where
    T: FromPyObject<'a, 'py>,
{
    match object.extract() {
        Ok(value) => Ok(value),
        Err(_) if object.is_instance_of::<PyString>() => Err(not_encodable(name)),
        Err(_) => Err(wrong_type(name, expected, &object)),
    }
}

pub(crate) fn flag(name: &str, object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.extract().map_err(|_| wrong_type(name, "True or False", object))
}

/// Returns an integer; `None` for any other object. A `bool` and a `TokenStatus` are integers to Python, but not here.
pub(crate) fn integer(name: &str, expected: &str, object: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if object.is_instance_of::<PyBool>() || is_status(object)? || !object.hasattr("__index__")? {
        return Ok(None);
    }
    match object.extract() {
        Ok(number) => Ok(Some(number)),
        Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
            Err(PyValueError::new_err(format!("{name} is out of range; expected {expected}")))
        }
        Err(error) => Err(error),
    }
}

/// Returns a reader of an integer; `expected` says which ones the argument accepts.
pub(crate) fn number<'a, 'py: 'a>(
    expected: &'static str,
) -> impl Fn(&str, &'a Bound<'py, PyAny>) -> PyResult<i64> {
    move |name, object| integer(name, expected, object)?.ok_or_else(|| wrong_type(name, "an int", object))
}

pub(crate) fn seconds(name: &str, object: &Bound<'_, PyAny>) -> PyResult<f64> {
    let is_number = !object.is_instance_of::<PyBool>() && !object.is_instance_of::<PyString>();
    match object.extract::<f64>() {
        Ok(seconds) if is_number && !is_status(object)? => Ok(seconds),
        _ => Err(wrong_type(name, "a number of seconds", object)),
    }
}

pub(crate) fn path(name: &str, object: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    extract(name, "a path (str or os.PathLike)", object.as_borrowed())
}

fn milliseconds(name: &str, object: &Bound<'_, PyAny>) -> PyResult<u64> {
    const END_OF_9999: u64 = 253_402_300_799_999;
    const EXPECTED: &str = "milliseconds since 1970-01-01 UTC, up to the end of the year 9999";
    let out_of_range =
        || PyValueError::new_err(format!("{name} is out of range; expected {EXPECTED} ({END_OF_9999})"));
    match integer(name, EXPECTED, object) {
        Ok(Some(number)) => {
            u64::try_from(number).ok().filter(|number| *number <= END_OF_9999).ok_or_else(out_of_range)
        }
        Ok(None) => Err(wrong_type(name, &format!("an int of {EXPECTED}"), object)),
        Err(error) if error.is_instance_of::<PyValueError>(object.py()) => Err(out_of_range()),
        Err(error) => Err(error),
    }
}
