//! Pages of lists: the query parameters `filter`, `sort`, `fields`, `size` and `offset`.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::Value;

use super::envelope::{Outcome, Rejection, Success};
use super::filter::{Filter, Filterable, kind_of};
use super::request::ReceivedRequest;

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 1000;

/// The part of a list that a request asks for.
#[derive(Debug)]
pub(super) struct Page {
    size: usize,
    offset: usize,
    filter: Option<Filter>,
    sort: Vec<SortKey>,
    fields: Option<Vec<String>>,
}

#[derive(Debug)]
struct SortKey {
    field: String,
    descending: bool,
}

impl Page {
    pub(super) fn parse<T: Filterable>(request: &ReceivedRequest) -> Result<Self, Rejection> {
        let number = |name: &str, default: usize| match request.parameter(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| {
                Rejection::bad_request(format!("Invalid value for query parameter {name}: {text}"))
            }),
        };
        let size = number("size", DEFAULT_SIZE)?;
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(Rejection::bad_request(format!("size must be between 1 and {MAX_SIZE}")));
        }
        let given = |name| request.parameter(name).filter(|text| !text.is_empty());
        let fields = given("fields").filter(|fields| fields != "*");
        Ok(Self {
            size,
            offset: number("offset", 0)?,
            filter: given("filter").map(|text| Filter::parse::<T>(&text)).transpose()?,
            sort: given("sort").map(|text| sort_keys::<T>(&text)).transpose()?.unwrap_or_default(),
            fields: fields.map(|fields| fields.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }

    /// Returns the page of `items`, which must be sorted by id; `show` converts an item to its JSON.
    pub(super) fn respond<T: Filterable, S: Serialize>(
        &self,
        items: impl Iterator<Item = T>,
        show: impl Fn(&T) -> S,
        negative_total: bool,
    ) -> Outcome {
        let is_match = |item: &T| self.filter.as_ref().is_none_or(|filter| filter.matches(item));
        let mut matching: Vec<T> = items.filter(is_match).collect();
        if !self.sort.is_empty() {
            matching.sort_by(|left, right| self.compare(left, right));
        }
        let total = i64::try_from(matching.len()).unwrap_or(i64::MAX);
        let total = if negative_total { -total } else { total };
        let shown = matching.iter().skip(self.offset).take(self.size).map(show);
        let Some(fields) = &self.fields else {
            return Success::new(&List { total, items: shown.collect(), search_id: None }, false);
        };
        let items = shown.map(|item| select(fields, &item)).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|cause| Rejection::internal(cause.to_string()))?;
        Success::new(&List { total, items, search_id: None }, false)
    }

    fn compare<T: Filterable>(&self, left: &T, right: &T) -> Ordering {
        let by_key = |key: &SortKey| {
            let ordering = left.field(&key.field).cmp(&right.field(&key.field));
            if key.descending { ordering.reverse() } else { ordering }
        };
        self.sort.iter().map(by_key).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// Parses `+id,-createdOn`. A plus that was not percent-encoded arrives as a space.
fn sort_keys<T: Filterable>(text: &str) -> Result<Vec<SortKey>, Rejection> {
    let key = |part: &str| {
        let (descending, field) = match part.strip_prefix('-') {
            Some(field) => (true, field),
            None => (false, part.trim_start_matches(['+', ' '])),
        };
        match kind_of::<T>(field) {
            Some(_) => Ok(SortKey { field: field.to_owned(), descending }),
            None => Err(Rejection::bad_request(format!("Invalid value for query parameter sort: {part}"))),
        }
    };
    text.split(',').map(key).collect()
}

/// A page in the portal's JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    total: i64,
    items: Vec<T>,
    search_id: Option<String>,
}

/// Keeps only the named members.
fn select(fields: &[String], item: &impl Serialize) -> serde_json::Result<Value> {
    let mut item = serde_json::to_value(item)?;
    if let Some(members) = item.as_object_mut() {
        members.retain(|name, _| fields.iter().any(|field| field == name));
    }
    Ok(item)
}
