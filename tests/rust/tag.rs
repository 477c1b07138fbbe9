//! The grammar of tags, and text that is only similar to one.

use lmtokens::testing::ids::Note;
use lmtokens::testing::tag::{RunId, Tag};
use proptest::prelude::*;

fn tag() -> Tag {
    Tag::fresh(RunId::fresh().unwrap(), 1_700_000_000_123).unwrap()
}

#[test]
fn a_tagged_note_has_the_tag_and_the_final_note() {
    let tag = tag();
    for last in [None, Some("ci"), Some("two words"), Some(" leading"), Some("日本")] {
        let note = tag.note(last);
        assert_eq!(Tag::parse(&note), Some((tag, last)), "{note}");
    }
    assert_eq!(tag.note(Some("")), tag.to_string());
    assert_eq!(tag.seconds, 1_700_000_000);
}

#[test]
fn a_tag_has_no_character_with_a_meaning_in_filters() {
    let text = tag().to_string();
    assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{text}");
}

#[test]
fn tags_are_unique() {
    let run = RunId::fresh().unwrap();
    let tags: std::collections::HashSet<_> = (0..1000).map(|_| Tag::fresh(run, 0).unwrap()).collect();
    assert_eq!(tags.len(), 1000);
    assert_ne!(RunId::fresh().unwrap(), RunId::fresh().unwrap());
}

#[test]
fn similar_text_is_not_a_tag() {
    let text = tag().to_string();
    let near = [
        format!(" {text}"),
        format!("{text} "),
        format!("{text}x"),
        format!("{text}\n"),
        format!("{text}\tci"),
        format!("x{text}"),
        text.to_uppercase(),
        text.replace("lmtokens-1-", "lmtokens-2-"),
        text.replace("lmtokens-1-", "lmtokens-01-"),
        text.replacen("-1700000000-", "-01700000000-", 1),
        text.replacen("-1700000000-", "-+1700000000-", 1),
        text.replacen("-1700000000-", "--1700000000-", 1),
        text.replacen("-1700000000-", "--", 1),
        text.replacen("-1700000000-", "-99999999999999999999999-", 1),
        text[..text.len() - 1].to_owned(),
        format!("{text}0"),
        text.replace('-', "_"),
        String::new(),
        "lmtokens-1-".to_owned(),
    ];
    for note in near {
        assert_eq!(Tag::parse(&note), None, "{note:?}");
        assert!(Note::new(note).is_ok());
    }
    assert!(Note::new(text).is_err());
}

proptest! {
    #[test]
    fn a_parsed_note_round_trips(note in "(lmtokens-1-)?[0-9a-f]{14,17}-[0-9]{0,12}-[0-9a-f]{31,33}( .{0,9})?") {
        if let Some((tag, last)) = Tag::parse(&note) {
            prop_assert_eq!(tag.note(last), note);
        }
    }

    #[test]
    fn no_text_makes_parsing_panic(note in ".{0,200}") {
        let _ = Tag::parse(&note);
    }
}
