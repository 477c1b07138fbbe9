//! The grammar of tags, and text that is only similar to one.

use lmtokens::testing::ids::{Note, TokenId};
use lmtokens::testing::tag::{RunId, Tag};
use proptest::prelude::*;

fn tag(last: Option<&str>) -> Tag {
    Tag::fresh(RunId::fresh().unwrap(), 1_700_000_000_123, None, last).unwrap()
}

#[test]
fn a_tagged_note_has_the_tag_and_the_final_note() {
    for last in [None, Some("ci"), Some("two words"), Some(" leading"), Some("日本")] {
        let tag = tag(last);
        let note = tag.note(last);
        assert_eq!(Tag::parse(&note), Some((tag, last)), "{note}");
        assert_eq!(tag.note_problem(last), None, "{note}");
        assert_eq!(tag.seconds, 1_700_000_000);
    }
    assert_eq!(tag(Some("")).note(Some("")).matches(' ').count(), 0);
    assert_eq!(tag(Some("")).note_problem(None), None);
}

/// Returns why a note is not the one that a create wrote; `None` if it is, or if the note has no tag.
fn note_problem(note: &str) -> Option<&'static str> {
    Tag::parse(note).and_then(|(tag, last)| tag.note_problem(last))
}

#[test]
fn a_changed_note_is_recognized() {
    for last in [None, Some("ci"), Some("two words"), Some("keep me")] {
        let whole = tag(last).note(last);
        assert_eq!(note_problem(&whole), None);
        let (bare, _) = whole.split_once(' ').unwrap_or((&whole, ""));
        for changed in [
            format!("{whole} keep me"),
            format!("{whole} x"),
            format!("{bare} CI"),
            format!("{bare} c"),
            format!("{bare} keep  it"),
            format!("{bare} ci ci"),
            format!("{bare} {}", tag(None)),
        ] {
            assert!(note_problem(&changed).is_some(), "{changed}");
        }
        if last.is_some() {
            assert!(note_problem(bare).is_some(), "{bare}");
        }
        // A tag that was moved to another token's note, or dated back, proves nothing.
        for (digit, other) in [("-17", "-16"), ("-2-", "-1-")] {
            let forged = whole.replacen(digit, other, 1);
            assert!(note_problem(&forged).is_some() || Tag::parse(&forged).is_none(), "{forged}");
        }
    }
}

#[test]
fn what_a_portal_does_to_notes_is_no_change() {
    for (last, shown) in [
        ("a & b", "a &amp; b"),
        ("  ci\t job ", "ci job"),
        ("ci ", "ci"),
        ("\"<x>\"", "&quot;&lt;x&gt;&quot;"),
        ("cafe\u{301}", "caf\u{e9}"),
    ] {
        let tag = tag(Some(last));
        assert_eq!(note_problem(&format!("{tag} {shown}")), None, "{last:?} {shown:?}");
    }
    // Trimmed to the tag alone.
    assert_eq!(note_problem(&tag(Some("  ")).to_string()), None);
}

#[test]
fn a_tag_of_version_1_proves_nothing_about_the_text_after_it() {
    let bare = format!("lmtokens-1-{}-1700000000-{}", "0".repeat(16), "0".repeat(32));
    let (tag, last) = Tag::parse(&bare).unwrap();
    assert_eq!((tag.to_string(), last, tag.note_problem(last)), (bare.clone(), None, None));
    assert!(note_problem(&format!("{bare} ci")).is_some());
    assert!(Note::new(bare).is_err());
}

/// Other processes and versions must compute the same check.
#[test]
fn the_check_is_the_start_of_a_sha_256() {
    let unchecked = format!("lmtokens-2-{}-1700000000-{}", "0".repeat(16), "0".repeat(32));
    // printf 'lmtokens-2-…-1700000000-… ci' | sha256sum
    assert_eq!(note_problem(&format!("{unchecked}-35445c1f604c832b ci")), None);
    assert!(Tag::parse(&format!("{unchecked}-35445c1f604c832b ci")).is_some());
}

#[test]
fn a_tag_can_name_the_token_that_its_token_replaces() {
    let old = TokenId::new(17).unwrap();
    let run = RunId::fresh().unwrap();
    for (expires, last) in [(None, None), (None, Some("ci")), (Some(1_800_000_000), Some("ci"))] {
        let tag = Tag::fresh_replacing(Some(old), run, 1_700_000_000_000, expires, last).unwrap();
        let note = tag.note(last);
        assert!(note.contains("-r17-"), "{note}");
        assert_eq!(Tag::parse(&note), Some((tag, last)));
        assert_eq!((tag.replaces, tag.note_problem(last)), (Some(old), None));
        assert!(Note::new(&note).is_err());
        assert!(note_problem(&note.replace("-r17-", "-r18-")).is_some());
        assert!(note_problem(&note.replace("-r17-", "-")).is_some());
        for near in ["-r-", "-r0-", "-r017-", "-r+17-", "-r2147483648-", "-R17-", "-r17-r17-", "-r17-e17-"] {
            assert_eq!(Tag::parse(&note.replace("-r17-", near)), None, "{near}");
        }
    }
    assert_eq!(tag(None).replaces, None);
}

#[test]
fn a_tag_has_no_character_with_a_meaning_in_filters() {
    let text = tag(None).to_string();
    assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{text}");
}

#[test]
fn a_tag_carries_the_expiry_of_the_final_note() {
    let expires = 1_801_353_600;
    let tag = Tag::fresh(RunId::fresh().unwrap(), 1_700_000_000_123, Some(expires), Some("ci")).unwrap();
    let note = tag.note(Some("ci"));
    assert!(note.contains("-e1801353600-"), "{note}");
    assert_eq!(Tag::parse(&note), Some((tag, Some("ci"))));
    assert_eq!((tag.expires, tag.note_problem(Some("ci"))), (Some(expires), None));
    let marker = tag.marker(TokenId::new(248).unwrap()).unwrap();
    assert_eq!(marker.write("ci"), "[lmtokens 248 expires 2027-01-31T00:00Z] ci");
    assert_eq!(self::tag(Some("ci")).marker(TokenId::new(248).unwrap()), None);
    // The check covers it.
    for forged in [note.replacen("-e1801353600-", "-e1801353601-", 1), note.replacen("-e1801353600-", "-", 1)]
    {
        assert!(note_problem(&forged).is_some(), "{forged}");
    }
    for near in [
        "-e01801353600-",
        "-e-",
        "-e0-",
        "-1801353600-",
        "-E1801353600-",
        "-e18013536000000-",
        "-e1801353600-e1801353600-",
    ] {
        let near = note.replacen("-e1801353600-", near, 1);
        assert_eq!(Tag::parse(&near), None, "{near}");
    }
    assert_eq!(Tag::parse(&note.replacen("lmtokens-2-", "lmtokens-1-", 1)), None);
}

#[test]
fn tags_are_unique() {
    let run = RunId::fresh().unwrap();
    let tags: std::collections::HashSet<_> =
        (0..1000).map(|_| Tag::fresh(run, 0, None, None).unwrap()).collect();
    assert_eq!(tags.len(), 1000);
    assert_ne!(RunId::fresh().unwrap(), RunId::fresh().unwrap());
}

#[test]
fn similar_text_is_not_a_tag() {
    let text = tag(None).to_string();
    let near = [
        format!("{text}x"),
        format!("x{text}"),
        text.to_uppercase(),
        text.replace("lmtokens-2-", "lmtokens-1-"),
        text.replace("lmtokens-2-", "lmtokens-3-"),
        text.replace("lmtokens-2-", "lmtokens-02-"),
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
        "lmtokens-2-".to_owned(),
    ];
    for note in near {
        assert_eq!(Tag::parse(&note), None, "{note:?}");
        assert!(Note::new(note).is_ok());
    }
    assert!(Note::new(text).is_err());
}

/// A portal that trims notes would make them one.
#[test]
fn a_note_that_a_portal_may_make_a_tag_is_refused() {
    let text = tag(None).to_string();
    for note in [
        format!(" {text}"),
        format!("{text} "),
        format!("\u{a0}{text}"),
        format!("{text}\n"),
        format!("{text}\tci"),
        format!("\t{text}  ci"),
        format!("&nbsp;{text}"),
        text.replacen('-', "&#45;", 1),
    ] {
        assert_eq!(Tag::parse(&note), None, "{note:?}");
        assert!(Note::new(note.clone()).is_err(), "{note:?}");
    }
    let other = format!("{text}  ci");
    assert!(Note::new(other).is_err());
    assert!(Note::new(format!("see {text}")).is_ok());
}

proptest! {
    #[test]
    fn a_parsed_note_round_trips(
        note in "(lmtokens-[12]-)?[0-9a-f]{15,17}-[0-9]{0,12}-[0-9a-f]{31,33}(-e[0-9]{0,12})?(-[0-9a-f]{15,17})?( .{0,9})?"
    ) {
        if let Some((tag, last)) = Tag::parse(&note) {
            prop_assert_eq!(tag.note(last), note);
        }
    }

    #[test]
    fn every_final_note_is_proven(last in ".{0,60}") {
        let note = tag(Some(&last)).note(Some(&last));
        if let Some((tag, found)) = Tag::parse(&note) {
            prop_assert_eq!(found.unwrap_or_default(), last);
            prop_assert_eq!(tag.note_problem(found), None);
        }
    }

    #[test]
    fn another_note_is_not_proven(last in "[a-z]{0,9}", other in "[a-z]{0,9}") {
        let tag = tag(Some(&last));
        prop_assert_eq!(tag.note_problem(Some(&other)).is_none(), last == other);
    }

    #[test]
    fn no_text_makes_parsing_panic(note in ".{0,200}") {
        let _ = Tag::parse(&note);
    }
}
