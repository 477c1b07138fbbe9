//! The rows of a bulk run, in the forms in which Python programs have them.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple, PyType};

use super::plain::{encodable, integer, items, string, wrong_type};
use crate::lifecycle::{Cell, Cells, Column, HEADER, Row, RowInput, all_problems};
use crate::python::types::enums::{is_status, is_type};
use crate::python::types::new_token::NewToken;
use crate::tokens;

/// Reads all rows; the error lists every invalid one.
pub(crate) fn rows(tokens: &Bound<'_, PyAny>) -> PyResult<Vec<Row>> {
    let py = tokens.py();
    let expected =
        "an iterable of rows, such as [(32, \"ci\")], csv.DictReader(file) or frame.to_dict(\"records\")";
    if tokens.get_type().hasattr("_fields")? {
        return Err(wrong_type("tokens", expected, tokens));
    }
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for (line, given) in (1..).zip(items("tokens", expected, tokens)?) {
        match row(&given?, line) {
            Ok(token) => {
                let input = RowInput { number: line, columns: Vec::new() };
                good.push(Row { token, line, input });
            }
            Err(error)
                if error.is_instance_of::<PyTypeError>(py) || error.is_instance_of::<PyValueError>(py) =>
            {
                problems.push(format!("row {line}: {}", error.value(py)));
            }
            Err(error) => return Err(error),
        }
    }
    match all_problems(&problems) {
        Some(message) => Err(PyValueError::new_err(message)),
        None => Ok(good),
    }
}

fn is_mapping(class: &Bound<'_, PyType>) -> PyResult<bool> {
    Ok(class.hasattr("keys")? && class.hasattr("__getitem__")?)
}

/// Reads a row. Which form it has is decided by its class: an attribute of the row itself may be computed.
fn row(row: &Bound<'_, PyAny>, line: u64) -> PyResult<tokens::NewToken> {
    if let Ok(token) = row.cast::<NewToken>() {
        return Ok(token.get().0.clone());
    }
    let class = row.get_type();
    let cells = if class.hasattr("_fields")? {
        named_tuple(row)?
    } else if class.hasattr("__dataclass_fields__")? {
        let fields = row.py().import("dataclasses")?.call_method1("fields", (row,))?;
        let names = fields.try_iter()?.map(|field| field?.getattr("name"));
        named(names, |name| row.getattr(name.cast::<PyString>()?))?
    } else if is_mapping(&class)? {
        named(row.call_method0("keys")?.try_iter()?, |name| row.get_item(name))?
    } else if row.is_instance_of::<PyTuple>() || row.is_instance_of::<PyList>() {
        let cells = positional(row)?;
        if line == 1 && cells.resembles_header() {
            return Err(PyValueError::new_err(format!(
                "{HEADER} (if it is a row, give its user by id, or pass a NewToken); read a file with csv.DictReader"
            )));
        }
        cells
    } else {
        return Err(wrong_type(
            "it",
            "a NewToken, a mapping, a named tuple, a dataclass instance, or a tuple or list (admin_id, note, status, type)",
            row,
        ));
    };
    Ok(cells.token()?)
}

fn named_tuple(row: &Bound<'_, PyAny>) -> PyResult<Cells> {
    const INDEX: &str = "Index";
    let (mut has_index, mut names) = (false, Vec::new());
    for name in row.getattr("_fields")?.try_iter()? {
        let name = name?;
        let text = name.extract::<String>().unwrap_or_default();
        if text == INDEX {
            has_index = true;
        } else if text.strip_prefix('_').is_some_and(|rest| rest.parse::<u32>().is_ok()) {
            return Err(PyValueError::new_err(format!(
                "unknown column {text:?}: itertuples() and namedtuple(rename=True) give this name to a column whose own \
                 name is not an identifier; rename the column, or pass frame.to_dict(\"records\")"
            )));
        } else {
            names.push(name);
        }
    }
    let cells = named(names.into_iter().map(Ok), |name| row.getattr(name.cast::<PyString>()?))?;
    if has_index && !cells.has(Column::AdminId) {
        return Err(PyValueError::new_err(format!(
            "admin_id is missing (the column {INDEX} is ignored: call reset_index() if it has the users); expected {}",
            Column::EXPECTED
        )));
    }
    Ok(cells)
}

/// Reads a row whose values have names.
fn named<'py>(
    names: impl Iterator<Item = PyResult<Bound<'py, PyAny>>>,
    value: impl Fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Cells> {
    let mut cells = Cells::default();
    for name in names {
        let name = name?;
        if name.is_none() {
            // As csv.DictReader does.
            return Err(PyValueError::new_err("the row has more values than there are names of columns"));
        }
        let Ok(text) = name.extract::<String>() else {
            let shown = name.repr()?;
            return Err(PyValueError::new_err(format!(
                "unknown column {shown}; expected {}",
                Column::EXPECTED
            )));
        };
        let Some(column) = Column::of(&text) else {
            let unknown = Column::unknown(&text);
            return Err(PyValueError::new_err(format!("{unknown}; expected {}", Column::EXPECTED)));
        };
        cells.add(column, cell(column, &value(&name)?)?)?;
    }
    Ok(cells)
}

/// Reads a row whose values have no names.
fn positional(row: &Bound<'_, PyAny>) -> PyResult<Cells> {
    let length = row.len()?;
    if length > Column::ORDER.len() {
        return Err(PyValueError::new_err(format!(
            "a row of {length} values is too long; expected (admin_id, note, status, type)"
        )));
    }
    let mut cells = Cells::default();
    for (column, value) in Column::ORDER.into_iter().zip(row.try_iter()?) {
        cells.add(column, cell(column, &value?)?)?;
    }
    Ok(cells)
}

fn cell(column: Column, object: &Bound<'_, PyAny>) -> PyResult<Option<Cell>> {
    let name = column.as_str();
    let class = object.get_type();
    let text = if column == Column::Type && is_type(object)? { object.cast().ok() } else { string(object)? };
    if let Some(text) = text {
        return encodable(name, text).map(|text| Some(Cell::Text(text)));
    }
    // Of Python, NumPy and `decimal`.
    let is_float = class.hasattr("__float__")? && !class.hasattr("__index__")?;
    let class_name = class.name()?.to_string();
    if object.is_none()
        || is_float && object.extract::<f64>().is_ok_and(f64::is_nan)
        // `pandas.NA` and `pandas.NaT`.
        || matches!(class_name.as_str(), "NAType" | "NaTType")
    {
        return Ok(None);
    }
    let expected = column.expected();
    if column == Column::Status && is_status(object)? {
        return Ok(Some(Cell::Number(object.extract()?)));
    }
    if matches!(column, Column::AdminId | Column::Status) {
        if let Some(number) = integer(name, expected, object)? {
            return Ok(Some(Cell::Number(number)));
        }
        if is_float {
            return Err(PyTypeError::new_err(format!(
                "{name} must be {expected}, not {class_name}; pass an int (in pandas: astype(\"Int64\"))"
            )));
        }
    }
    Err(wrong_type(name, expected, object))
}
