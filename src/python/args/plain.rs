//! Arguments of plain types. Every message names its argument, and none repeats a value, which may be a secret. PyO3's
//! own errors name the argument in a note only, which CPython has from 3.11 on, and quote texts that cannot be encoded.

use std::path::PathBuf;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDelta, PyFloat, PyInt, PyIterator, PyMapping, PyMemoryView, PyString,
    PyType,
};

use crate::ids::{Concurrency, PageSize};
use crate::python::types::enums::is_type;
use crate::times::{self, EXPECTED_MILLISECONDS, Timestamp};

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

/// The accepted durations, for messages.
pub(crate) const EXPECTED_DURATION: &str =
    "a number of seconds, a timedelta, or a str such as \"90s\", \"30m\", \"24h\" or \"7d\"";

arguments! {
    method: String = text;
    resource_path: String = text;
    name: String = text;
    force: bool = flag;
    dry_run: bool = flag;
    resume: bool = flag;
    lock: bool = flag;
    skip_damaged: bool = flag;
    overwrite: bool = flag;
    trust_folder: bool = flag;
    allow_bearer: bool = flag;
    take_over: bool = flag;
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

/// Returns a `str`; `None` for any other object. A `TokenType` is a `str` to Python, but not here.
pub(crate) fn string<'a, 'py>(object: &'a Bound<'py, PyAny>) -> PyResult<Option<&'a Bound<'py, PyString>>> {
    Ok(if is_type(object)? { None } else { object.cast().ok() })
}

pub(crate) fn text(name: &str, object: &Bound<'_, PyAny>) -> PyResult<String> {
    match string(object)? {
        Some(text) => encodable(name, text),
        None => Err(wrong_type(name, "a str", object)),
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

/// Returns whether an object is an instance of a class of the standard library.
fn is_of(object: &Bound<'_, PyAny>, class: &PyOnceLock<Py<PyType>>, path: (&str, &str)) -> PyResult<bool> {
    object.is_instance(class.import(object.py(), path.0, path.1)?)
}

/// Returns whether an object is a number to Python only: a `bool`, or a member of an enumeration, whose number means
/// something in its enumeration alone.
fn is_bool_or_member(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    static ENUM: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    // NumPy's bool is a class of its own. Its name depends on the version.
    let is_bool = object.is_instance_of::<PyBool>()
        || matches!(object.get_type().name()?.to_cow()?.as_ref(), "bool" | "bool_");
    Ok(is_bool || is_of(object, &ENUM, ("enum", "Enum"))?)
}

/// Returns an integer of any class with `__index__`; `None` for any other object. A `bool` and the members of an
/// `IntEnum`, such as a `TokenStatus`, are integers to Python, but not here.
pub(crate) fn integer(name: &str, expected: &str, object: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let is_exact = object.is_exact_instance_of::<PyInt>();
    if !is_exact && (is_bool_or_member(object)? || !object.hasattr("__index__")?) {
        return Ok(None);
    }
    match object.extract() {
        Ok(number) => Ok(Some(number)),
        Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
            Err(PyValueError::new_err(format!("{name} is out of range; expected {expected}")))
        }
        // An array of several numbers has the method as well.
        Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns a number of any class; `None` for any other object. One that is too large for a float is infinite.
pub(crate) fn float(object: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    // An array of one number, a tensor and NumPy's bool can be converted to a float, but are not registered as numbers.
    static NUMBER: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let is_exact = object.is_exact_instance_of::<PyFloat>() || object.is_exact_instance_of::<PyInt>();
    if !is_exact && (is_bool_or_member(object)? || !is_of(object, &NUMBER, ("numbers", "Number"))?) {
        return Ok(None);
    }
    match object.extract() {
        Ok(number) => Ok(Some(number)),
        Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => Ok(Some(f64::INFINITY)),
        // A complex number, and a signaling NaN.
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyException>(object.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the seconds of a number or a `timedelta`; `None` for any other object.
fn seconds_or_timedelta(object: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    if object.is_instance_of::<PyDelta>() {
        return object.call_method0("total_seconds")?.extract().map(Some);
    }
    float(object)
}

/// Returns the seconds of a duration: a number, a `timedelta` or a text such as `24h`; `None` for any other object.
pub(crate) fn duration(name: &str, expected: &str, object: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    let Some(text) = string(object)? else { return seconds_or_timedelta(object) };
    match times::duration(&encodable(name, text)?) {
        Ok(duration) => Ok(Some(duration.as_secs_f64())),
        Err(_) => Err(PyValueError::new_err(format!("invalid {name}; expected {expected}"))),
    }
}

/// Returns the items of an iterable. A text, bytes, a mapping, a table and an open file are iterable as well, but their
/// letters, numbers, keys, names of columns and lines with their ends are not what the caller means.
pub(crate) fn items<'py>(
    name: &str,
    expected: &str,
    object: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyIterator>> {
    let class = object.get_type();
    // A column of a table, such as pandas' Series, has keys as well, but yields its values.
    let is_mapping = class.hasattr("keys")? && class.hasattr("__getitem__")? && !class.hasattr("tolist")?;
    let is_one_value = is_mapping
        || class.hasattr("itertuples")?
        || class.hasattr("readline")?
        || object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyBytes>()
        || object.is_instance_of::<PyByteArray>()
        || object.is_instance_of::<PyMemoryView>()
        || object.is_instance_of::<PyMapping>();
    match object.try_iter() {
        Ok(items) if !is_one_value => Ok(items),
        Err(error) if !error.is_instance_of::<PyTypeError>(object.py()) => Err(error),
        Ok(_) | Err(_) => Err(wrong_type(name, expected, object)),
    }
}

/// Returns a reader of an integer; `expected` says which ones the argument accepts.
pub(crate) fn number<'a, 'py: 'a>(
    expected: &'static str,
) -> impl Fn(&str, &'a Bound<'py, PyAny>) -> PyResult<i64> {
    move |name, object| integer(name, expected, object)?.ok_or_else(|| wrong_type(name, "an int", object))
}

pub(crate) fn seconds(name: &str, object: &Bound<'_, PyAny>) -> PyResult<f64> {
    float(object)?.ok_or_else(|| wrong_type(name, "a number of seconds", object))
}

/// Returns the time of an aware datetime; `None` for an object of another class. A class that imitates datetime is
/// accepted as well.
pub(crate) fn aware_datetime(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Option<Timestamp>> {
    if !object.hasattr("timestamp")? || !object.hasattr("utcoffset")? {
        return Ok(None);
    }
    // A datetime with a tzinfo that does not know its offset is naive as well.
    if object.getattr("tzinfo")?.is_none() || object.call_method0("utcoffset")?.is_none() {
        return Err(PyValueError::new_err(format!(
            "invalid {name}, a naive datetime; expected an aware one, such as datetime.now(timezone.utc) or \
             datetime(2025, 1, 1, tzinfo=timezone.utc)"
        )));
    }
    // Not timestamp(): a float of a year far away has no microseconds.
    let (epoch, second) = epoch_and_second(object.py())?;
    let (seconds, fraction): (i64, Bound<'_, PyAny>) = object.sub(epoch)?.divmod(second)?.extract()?;
    Ok(Some(Timestamp { seconds, has_fraction: fraction.is_truthy()? }))
}

/// Returns 1970-01-01 UTC as a `datetime`, and one second as a `timedelta`.
fn epoch_and_second(py: Python<'_>) -> PyResult<&(Py<PyAny>, Py<PyAny>)> {
    static UNITS: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    UNITS.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        let epoch = datetime.getattr("datetime")?.call_method1("fromtimestamp", (0, utc))?;
        Ok((epoch.unbind(), datetime.getattr("timedelta")?.call1((0, 1))?.unbind()))
    })
}

pub(crate) fn path(name: &str, object: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    extract(name, "a path (str or os.PathLike)", object.as_borrowed())
}

fn milliseconds(name: &str, object: &Bound<'_, PyAny>) -> PyResult<u64> {
    match integer(name, EXPECTED_MILLISECONDS, object)? {
        Some(number) => Ok(times::milliseconds(name, number)?),
        None => Err(wrong_type(name, &format!("an int of {EXPECTED_MILLISECONDS}"), object)),
    }
}
