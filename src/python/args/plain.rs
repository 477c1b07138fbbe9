//! Arguments of plain types. PyO3 names an argument only in a note, which CPython has from 3.11 on, and quotes a text that
//! cannot be encoded: here every message names its argument, and none repeats a value, which may be a secret.

use std::path::PathBuf;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};

use crate::python::args::domain::{Wanted, integer, type_name};
use crate::python::types::secret::Secret;
use crate::python::types::token::TokenStatus;
use crate::secret;

/// One function for each argument, for PyO3's `from_py_with`.
macro_rules! arguments {
    ($($name:ident: $type:ty = $read:expr;)*) => {
        $(
            pub(crate) fn $name(object: &Bound<'_, PyAny>) -> PyResult<$type> {
                $read(stringify!($name), object)
            }
        )*
    };
}

arguments! {
    method: String = read_text;
    resource_path: String = read_text;
    access_id: secret::Secret = read_secret;
    access_key: secret::Secret = read_secret;
    timestamp_ms: Option<u64> = optional(read_milliseconds);
    note: Option<String> = optional(read_text);
    force: bool = read_flag;
    page_size: u32 = read_size;
    text: String = read_text;
    word: String = read_text;
    number: i64 = read_number;
    dry_run: bool = read_flag;
    resume: bool = read_flag;
    lock: bool = read_flag;
    overwrite: bool = read_flag;
    format: &'static str = one_of(&["json", "env", "key"]);
    on_error: &'static str = one_of(&["continue", "stop"]);
    concurrency: i64 = read_number;
    timeout: f64 = read_seconds;
    path: PathBuf = read_path;
    journal: PathBuf = read_path;
}

pub(crate) fn filter<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Wanted<'py>>> {
    let accepted = "a Filter, or a str in the portal's own grammar";
    let read = |name: &str, object: &Bound<'py, PyAny>| read_as(name, accepted, object.as_borrowed());
    optional(read)("filter", object)
}

/// The arguments of every constructor, each of which may be `None`.
pub(crate) mod setting {
    use super::{
        Bound, PyAny, PyResult, one_of, optional, read_number, read_seconds, read_secret, read_text,
    };
    use crate::secret::Secret;

    arguments! {
        company: Option<String> = optional(read_text);
        access_id: Option<Secret> = optional(read_secret);
        access_key: Option<Secret> = optional(read_secret);
        bearer_token: Option<Secret> = optional(read_secret);
        domain: Option<String> = optional(read_text);
        base_url: Option<String> = optional(read_text);
        proxy: Option<Secret> = optional(read_secret);
        max_attempts: i64 = read_number;
        deadline: Option<f64> = optional(read_seconds);
        on_limit: &'static str = one_of(&["wait", "raise"]);
        max_wait: f64 = read_seconds;
    }
}

/// A reader that takes `None` too.
fn optional<'a, 'py, T>(
    read: impl Fn(&str, &'a Bound<'py, PyAny>) -> PyResult<T>,
) -> impl Fn(&str, &'a Bound<'py, PyAny>) -> PyResult<Option<T>>
where
    'py: 'a,
{
    move |name, object| if object.is_none() { Ok(None) } else { read(name, object).map(Some) }
}

fn wrong_type<T>(name: &str, accepted: &str, object: &Bound<'_, PyAny>) -> PyResult<T> {
    Err(PyTypeError::new_err(format!("{name} must be {accepted}, not {}", type_name(object)?)))
}

/// A text that UTF-8 can hold. CPython's own error would carry the whole text.
pub(crate) fn encodable(name: &str, text: &Bound<'_, PyString>) -> PyResult<String> {
    text.to_cow().map(std::borrow::Cow::into_owned).map_err(|_| not_encodable(name))
}

fn not_encodable(name: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{name} cannot be encoded: it holds a surrogate, which is half a character (was it read as bytes that are no UTF-8?)"
    ))
}

fn read_text(name: &str, object: &Bound<'_, PyAny>) -> PyResult<String> {
    match object.cast::<PyString>() {
        Ok(text) => encodable(name, text),
        Err(_) => wrong_type(name, "a str", object),
    }
}

fn read_secret(name: &str, object: &Bound<'_, PyAny>) -> PyResult<secret::Secret> {
    if let Ok(secret) = object.cast::<Secret>() {
        return Ok(secret.get().0.clone());
    }
    match object.cast::<PyString>() {
        Ok(text) => encodable(name, text).map(secret::Secret::new),
        Err(_) => wrong_type(name, "a str or a Secret", object),
    }
}

/// What `object` holds, as PyO3 reads it; `accepted` says what that is.
pub(crate) fn read_as<'a, 'py, T>(name: &str, accepted: &str, object: Borrowed<'a, 'py, PyAny>) -> PyResult<T>
where
    T: FromPyObject<'a, 'py>,
{
    match object.extract() {
        Ok(value) => Ok(value),
        Err(_) if object.is_instance_of::<PyString>() => Err(not_encodable(name)),
        Err(_) => wrong_type(name, accepted, &object),
    }
}

fn read_flag(name: &str, object: &Bound<'_, PyAny>) -> PyResult<bool> {
    object.extract().or_else(|_| wrong_type(name, "True or False", object))
}

fn read_size(name: &str, object: &Bound<'_, PyAny>) -> PyResult<u32> {
    match integer(object) {
        // What no `u32` can hold is far outside of what is accepted, which the core knows.
        Some(number) => Ok(number.ok().and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX)),
        None => wrong_type(name, "an int", object),
    }
}

fn read_number(name: &str, object: &Bound<'_, PyAny>) -> PyResult<i64> {
    if let Ok(status) = object.cast::<TokenStatus>() {
        return Ok(status.get().0.number());
    }
    match integer(object) {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => {
            Err(PyValueError::new_err(format!("{name} is out of range: accepted are numbers of 64 bits")))
        }
        None => wrong_type(name, "an int", object),
    }
}

/// A reader of one of some words.
fn one_of<'a, 'py: 'a>(
    words: &'static [&'static str],
) -> impl Fn(&str, &'a Bound<'py, PyAny>) -> PyResult<&'static str> {
    move |name, object| {
        let given = read_text(name, object)?;
        words.iter().find(|word| **word == given).copied().ok_or_else(|| {
            let accepted = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" and ");
            PyValueError::new_err(format!("{name} {given:?} is not accepted: accepted are {accepted}"))
        })
    }
}

fn read_seconds(name: &str, object: &Bound<'_, PyAny>) -> PyResult<f64> {
    let is_number = !object.is_instance_of::<PyBool>() && !object.is_instance_of::<PyString>();
    match object.extract::<f64>() {
        Ok(seconds) if is_number => Ok(seconds),
        _ => wrong_type(name, "a number of seconds", object),
    }
}

fn read_path(name: &str, object: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    read_as(name, "a path, as a str or an os.PathLike", object.as_borrowed())
}

fn read_milliseconds(name: &str, object: &Bound<'_, PyAny>) -> PyResult<u64> {
    const END_OF_9999: u64 = 253_402_300_799_999;
    const ACCEPTED: &str = "milliseconds since 1970-01-01 UTC, up to the end of the year 9999";
    let Some(number) = integer(object) else {
        return wrong_type(name, &format!("an int of {ACCEPTED}"), object);
    };
    let number = number.ok().and_then(|number| u64::try_from(number).ok());
    number.filter(|number| *number <= END_OF_9999).ok_or_else(|| {
        PyValueError::new_err(format!("{name} is out of range: accepted are {ACCEPTED} ({END_OF_9999})"))
    })
}
