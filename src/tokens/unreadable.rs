//! Items of a list that cannot be read. They are skipped and reported.

use crate::client::Client;
use crate::event::Event;

/// The unreadable items of one page.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    pub(super) count: u64,
    /// What the first one is.
    first: &'static str,
}

impl Unreadable {
    /// Counts an item.
    pub(super) fn add(&mut self, json: &str) {
        if self.count == 0 {
            self.first = described(json);
        }
        self.count += 1;
    }

    /// Reports the items of a list of `noun`, if there are any.
    pub(super) fn report(&self, client: &Client, noun: &'static str) {
        if self.count > 0 {
            client.report(Event::ItemsSkipped { noun, count: self.count, first: self.first });
        }
    }
}

/// Says what an item is, without its content.
fn described(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object without a valid id",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
