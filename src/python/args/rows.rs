//! The rows of a bulk run, in the forms in which Python programs have them.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict as _, PyFloat, PyIterator, PyList, PyString, PyTuple, PyType};

use super::plain::{encodable, integer, items, string, wrong_type};
use crate::lifecycle::{Cell, Cells, Column, HEADER, Row, RowInput, all_problems};
use crate::python::types::enums::{is_status, is_type};
use crate::python::types::new_token::NewToken;
use crate::tokens;

/// Reads all rows; the error lists every invalid one.
pub(crate) fn rows(tokens: &Bound<'_, PyAny>) -> PyResult<Vec<Row>> {
    let py = tokens.py();
    let expected = "an iterable of rows, such as [(32, \"ci\")], csv.DictReader(file) or a DataFrame";
    if tokens.get_type().hasattr("_fields")? {
        return Err(wrong_type("tokens", expected, tokens));
    }
    let frame = Frame::of(tokens)?;
    let items = match &frame {
        Some(frame) => frame.rows.clone(),
        None => items("tokens", expected, tokens)?,
    };
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for (line, given) in (1..).zip(items) {
        let given = given?;
        let read = match &frame {
            Some(frame) => frame.row(&given),
            None => row(&given, line),
        };
        match read {
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

/// A `DataFrame` of pandas, or of a library with its interface, or of Polars.
struct Frame<'py> {
    columns: Vec<Column>,
    rows: Bound<'py, PyIterator>,
}

impl<'py> Frame<'py> {
    /// Returns `None` for any other object.
    fn of(tokens: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let class = tokens.get_type();
        if !class.hasattr("columns")? {
            return Ok(None);
        }
        // Tuples keep columns of equal names apart.
        let rows = if class.hasattr("itertuples")? {
            let options = [("index", Some(false)), ("name", None)].into_py_dict(tokens.py())?;
            tokens.call_method("itertuples", (), Some(&options))?
        } else if class.hasattr("iter_rows")? && class.hasattr("to_dicts")? {
            tokens.call_method0("iter_rows")?
        } else if class.hasattr("collect")? {
            return Err(wrong_type("tokens", "a frame with its rows; call its method collect()", tokens));
        } else {
            return Ok(None);
        };
        let names = tokens.getattr("columns")?.try_iter()?;
        let columns = names.map(|name| column(&name?)).collect::<PyResult<Vec<_>>>().map_err(|error| {
            let hint = "select the columns first, as in frame[[\"admin_id\", \"note\"]]";
            PyValueError::new_err(format!("{}; {hint}", error.value(tokens.py())))
        })?;
        if !columns.contains(&Column::AdminId) {
            return Err(PyValueError::new_err(format!(
                "admin_id is missing (an index is ignored: call reset_index() if it has the users); expected {}",
                Column::EXPECTED
            )));
        }
        Ok(Some(Self { columns, rows: rows.try_iter()? }))
    }

    fn row(&self, row: &Bound<'py, PyAny>) -> PyResult<tokens::NewToken> {
        let mut cells = Cells::default();
        for (column, value) in self.columns.iter().zip(row.try_iter()?) {
            let value = value?;
            cells.add(
                *column,
                match integral(*column, &value) {
                    Some(number) => Some(Cell::Number(number)),
                    None => cell(*column, &value)?,
                },
            )?;
        }
        Ok(cells.token()?)
    }
}

/// Returns the integer that a float stands for: pandas makes floats of a column of integers if one is missing.
fn integral(column: Column, value: &Bound<'_, PyAny>) -> Option<i64> {
    if !matches!(column, Column::AdminId | Column::Status) {
        return None;
    }
    let number = value.cast::<PyFloat>().ok()?.value();
    // Larger ones may have been rounded, in a column of 32-bit floats.
    let is_exact = number.fract() == 0.0 && number.abs() < 16_777_216.0;
    #[allow(clippy::cast_possible_truncation, reason = "it has no fraction and is in range")]
    is_exact.then_some(number as i64)
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
                 name is not an identifier; rename the column, or pass the frame itself"
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
        let column = column(&name)?;
        cells.add(column, cell(column, &value(&name)?)?)?;
    }
    Ok(cells)
}

/// Returns the column with a name.
fn column(name: &Bound<'_, PyAny>) -> PyResult<Column> {
    let unknown = match name.extract::<String>() {
        Ok(text) => match Column::of(&text) {
            Some(column) => return Ok(column),
            None => Column::unknown(&text),
        },
        Err(_) => format!("unknown column {}", name.repr()?),
    };
    Err(PyValueError::new_err(format!("{unknown}; expected {}", Column::EXPECTED)))
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
