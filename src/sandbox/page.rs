//! Lists: `filter`, `sort`, `fields`, `size` and `offset`, and the envelope of a page.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::Value;

use super::envelope::{Outcome, Refusal, Success};
use super::exchange::Exchange;
use super::filter::{Filter, Filterable, kind_of};

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 1000;

/// Which part of a list was asked for.
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
    pub(super) fn parse<T: Filterable>(exchange: &Exchange) -> Result<Self, Refusal> {
        let number = |name: &str, default: usize| match exchange.parameter(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| {
                Refusal::bad_request(format!("Invalid value for query parameter {name}: {text}"))
            }),
        };
        let size = number("size", DEFAULT_SIZE)?;
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(Refusal::bad_request(format!("size must be between 1 and {MAX_SIZE}")));
        }
        let given = |name| exchange.parameter(name).filter(|text| !text.is_empty());
        let fields = given("fields").filter(|fields| fields != "*");
        Ok(Self {
            size,
            offset: number("offset", 0)?,
            filter: given("filter").map(|text| Filter::parse::<T>(&text)).transpose()?,
            sort: given("sort").map(|text| sort_keys::<T>(&text)).transpose()?.unwrap_or_default(),
            fields: fields.map(|fields| fields.split(',').map(|name| name.trim().to_owned()).collect()),
        })
    }

    /// The page of `items`, which come by id, each as `show` has it.
    pub(super) fn answer<T: Filterable, S: Serialize>(
        &self,
        items: impl Iterator<Item = T>,
        show: impl Fn(&T) -> S,
        negative_total: bool,
    ) -> Outcome {
        let wanted = |item: &T| self.filter.as_ref().is_none_or(|filter| filter.matches(item));
        let mut matching: Vec<T> = items.filter(wanted).collect();
        if !self.sort.is_empty() {
            matching.sort_by(|left, right| self.compare(left, right));
        }
        let total = i64::try_from(matching.len()).unwrap_or(i64::MAX);
        let total = if negative_total { -total } else { total };
        let shown = matching.iter().skip(self.offset).take(self.size).map(show);
        let Some(fields) = &self.fields else {
            return Success::new(&List { total, items: shown.collect(), search_id: None }, false);
        };
        let items = shown.map(|item| only(fields, &item)).collect::<Result<Vec<_>, _>>();
        let items = items.map_err(|cause| Refusal::internal(cause.to_string()))?;
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

/// Reads `+id,-createdOn`; a plus that was not percent-encoded arrives as a space.
fn sort_keys<T: Filterable>(text: &str) -> Result<Vec<SortKey>, Refusal> {
    let key = |part: &str| {
        let (descending, field) = match part.strip_prefix('-') {
            Some(field) => (true, field),
            None => (false, part.trim_start_matches(['+', ' '])),
        };
        match kind_of::<T>(field) {
            Some(_) => Ok(SortKey { field: field.to_owned(), descending }),
            None => Err(Refusal::bad_request(format!("Invalid value for query parameter sort: {part}"))),
        }
    };
    text.split(',').map(key).collect()
}

/// The envelope of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    total: i64,
    items: Vec<T>,
    search_id: Option<String>,
}

fn only(fields: &[String], item: &impl Serialize) -> serde_json::Result<Value> {
    let mut item = serde_json::to_value(item)?;
    if let Some(members) = item.as_object_mut() {
        members.retain(|name, _| fields.iter().any(|field| field == name));
    }
    Ok(item)
}
