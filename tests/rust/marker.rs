//! The grammar of markers, and notes that are only similar to one.

use lmtokens::testing::ids::{Note, TokenId};
use lmtokens::testing::marker::{Marker, split};
use lmtokens::testing::model::{Origin, Token, TokenType};
use proptest::prelude::*;

/// 2027-01-31T00:00Z
const JANUARY: i64 = 1_801_353_600;
/// 2027-02-07T00:00Z
const FEBRUARY: i64 = 1_801_958_400;

fn id(number: i64) -> TokenId {
    TokenId::new(number).unwrap()
}

fn marker(token: i64) -> Marker {
    Marker::of(id(token))
}

#[test]
fn each_form_is_read_and_written() {
    let replaces = Marker { replaces: Some((id(17), Some(JANUARY))), ..marker(248) };
    for (text, expected) in [
        ("[lmtokens 248 replaces 17 after 2027-01-31T00:00Z]", replaces),
        ("[lmtokens 248 replaces 17]", Marker { replaces: Some((id(17), None)), ..marker(248) }),
        (
            "[lmtokens 17 replaced by 248, delete after 2027-02-07T00:00Z]",
            Marker { replaced_by: Some((id(248), FEBRUARY)), ..marker(17) },
        ),
        ("[lmtokens 248 expires 2027-01-31T00:00Z]", Marker { expires: Some(JANUARY), ..marker(248) }),
        (
            "[lmtokens 248 expires 2027-01-31T00:00:59Z]",
            Marker { expires: Some(JANUARY + 59), ..marker(248) },
        ),
        (
            "[lmtokens 248 replaces 17 after 2027-01-31T00:00Z; cancelled 2027-01-30T23:59:58Z]",
            Marker { cancelled: Some(JANUARY - 2), ..replaces },
        ),
        (
            "[lmtokens 248 replaces 17; superseded 2027-01-31T00:00:01Z]",
            Marker { replaces: Some((id(17), None)), superseded: Some(JANUARY + 1), ..marker(248) },
        ),
    ] {
        assert_eq!(Marker::parse(text), Some((expected, "")), "{text}");
        assert_eq!(expected.write(""), text);
        for user_part in ["ci", "two words", " leading", "日本", "] [lmtokens", "[x]"] {
            let note = format!("{text} {user_part}");
            assert_eq!(Marker::parse(&note), Some((expected, user_part)), "{note}");
            assert_eq!(expected.write(user_part), note);
        }
    }
}

#[test]
fn an_expiry_is_kept_beside_a_quarantine_and_a_replacement() {
    let quarantined =
        "[lmtokens 17 replaced by 248, delete after 2027-02-07T00:00Z; expires 2027-01-31T00:00Z] ci";
    let (parsed, user_part) = Marker::parse(quarantined).unwrap();
    assert_eq!(
        (parsed.expires, parsed.replaced_by, user_part),
        (Some(JANUARY), Some((id(248), FEBRUARY)), "ci")
    );
    let enabled_again = Marker { replaced_by: None, ..parsed };
    assert_eq!(enabled_again.write(user_part), "[lmtokens 17 expires 2027-01-31T00:00Z] ci");

    let successor =
        Marker { replaces: Some((id(17), Some(JANUARY))), expires: Some(FEBRUARY), ..marker(248) };
    let text = "[lmtokens 248 replaces 17 after 2027-01-31T00:00Z; expires 2027-02-07T00:00Z] ci";
    assert_eq!(successor.write("ci"), text);
    assert_eq!(Marker::parse(text), Some((successor, "ci")));
}

#[test]
fn a_marker_without_parts_is_not_written() {
    assert_eq!(marker(5).write("ci"), "ci");
    assert_eq!(marker(5).write(""), "");
}

#[test]
fn similar_text_is_not_a_marker() {
    let near = [
        "[lmtokens 5]",
        "[lmtokens 5 ]",
        "[lmtokens 5 expires]",
        "[lmtokens 5 expires ]",
        "[lmtokens 5 expires 2027-01-31]",
        "[lmtokens 5 expires 2027-01-31T00:00]",
        "[lmtokens 5 expires 2027-01-31T00:00:00Z]",
        "[lmtokens 5 expires 2027-01-31t00:00z]",
        "[lmtokens 5 expires 2027-01-31T00:00+00:00]",
        "[lmtokens 5 expires 2027-01-31T00:00:01.5Z]",
        "[lmtokens 5 expires 2027-02-30T00:00Z]",
        "[lmtokens 5 expires 2027-01-31T24:00Z]",
        "[lmtokens 5 expires 1969-12-31T00:00Z]",
        "[lmtokens 5 expires 1801353600]",
        "[lmtokens 5 expires 2027-01-31T00:00Z",
        "[lmtokens 5 expires 2027-01-31T00:00Z]ci",
        "[lmtokens 5 expires 2027-01-31T00:00Z; ]",
        "[lmtokens 5 expires 2027-01-31T00:00Z;cancelled 2027-01-31T00:00Z]",
        "[lmtokens 5 expires 2027-01-31T00:00Z; expires 2027-01-31T00:00Z]",
        "[lmtokens 5 cancelled 2027-01-31T00:00Z; expires 2027-01-31T00:00Z]",
        "[lmtokens 5 expires 2027-01-31T00:00Z; unknown]",
        "[lmtokens 05 expires 2027-01-31T00:00Z]",
        "[lmtokens +5 expires 2027-01-31T00:00Z]",
        "[lmtokens 0 expires 2027-01-31T00:00Z]",
        "[lmtokens 2147483648 expires 2027-01-31T00:00Z]",
        "[lmtokens 5 replaces 0]",
        "[lmtokens 5 replaces 017]",
        "[lmtokens 5 replaced by 6]",
        "[lmtokens 5  expires 2027-01-31T00:00Z]",
        "[LMTokens 5 expires 2027-01-31T00:00Z]",
        " [lmtokens 5 expires 2027-01-31T00:00Z]",
        "ci [lmtokens 5 expires 2027-01-31T00:00Z]",
        "",
    ];
    for note in near {
        assert_eq!(Marker::parse(note), None, "{note:?}");
        assert_eq!(split(5, note), (None, note));
    }
}

#[test]
fn a_marker_on_another_token_is_ignored() {
    let note = "[lmtokens 5 expires 2027-01-31T00:00Z] ci";
    assert_eq!(split(5, note).1, "ci");
    assert_eq!(split(6, note), (None, note));
}

#[test]
fn a_token_shows_the_users_part_and_keeps_the_marker() {
    let read = |id: i64, note: &str| {
        let json = serde_json::json!({"id": id, "note": note}).to_string();
        Token::from_json(json.as_bytes(), Origin::Other, &TokenType::Lmv1).unwrap()
    };
    let whole = "[lmtokens 5 replaced by 6, delete after 2027-02-07T00:00Z; expires 2027-01-31T00:00Z] ci";
    let token = read(5, whole);
    assert_eq!(token.note.as_deref(), Some("ci"));
    assert_eq!((token.expires_on(), token.replaces(), token.replaced_by()), (Some(JANUARY), None, Some(6)));
    assert_eq!(token.whole_note().as_deref(), Some(whole));
    let other = read(7, whole);
    assert_eq!((other.note.as_deref(), other.expires_on()), (Some(whole), None));
    assert_eq!(other.whole_note().as_deref(), Some(whole));
    assert_eq!(read(5, "[lmtokens 5 expires 2027-01-31T00:00Z]").note.as_deref(), Some(""));
}

#[test]
fn a_note_that_begins_like_a_marker_is_refused() {
    for note in [
        "[lmtokens 5 expires 2027-01-31T00:00Z] ci",
        "[lmtokens 5 expires 2027-01-3",
        "[lmtokens x",
        " [lmtokens 5",
        "\u{a0}[lmtokens\t5",
        "&nbsp;[lmtokens 5",
        "&#91;lmtokens 5",
        "[lmtokens&#32;5",
    ] {
        let error = Note::new(note).unwrap_err();
        assert!(error.to_string().contains("begins with \"[lmtokens \""), "{note:?} {error}");
    }
    for note in ["[lmtokens]", "[lmtokens", "lmtokens 5", "ci [lmtokens 5 expires 2027-01-31T00:00Z]"] {
        assert!(Note::new(note).is_ok(), "{note:?}");
    }
}

fn token_ids() -> impl Strategy<Value = TokenId> {
    (1..=i64::from(i32::MAX)).prop_map(id)
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![1..=253_402_300_799_i64, (1..=4_223_371_679_i64).prop_map(|minutes| minutes * 60)]
}

fn markers() -> impl Strategy<Value = Marker> {
    (
        token_ids(),
        proptest::option::of((token_ids(), proptest::option::of(times()))),
        proptest::option::of((token_ids(), times())),
        proptest::option::of(times()),
        proptest::option::of(times()),
        proptest::option::of(times()),
    )
        .prop_map(|(token, replaces, replaced_by, expires, superseded, cancelled)| Marker {
            token,
            replaces,
            replaced_by,
            expires,
            superseded,
            cancelled,
        })
        .prop_filter("a marker has parts", |marker| *marker != Marker::of(marker.token))
}

proptest! {
    #[test]
    fn a_written_marker_round_trips(marker in markers(), user_part in ".{0,60}") {
        let note = marker.write(&user_part);
        prop_assert_eq!(Marker::parse(&note), Some((marker, user_part.as_str())));
        prop_assert_eq!(split(marker.token.get(), &note), (Some(marker), user_part.as_str()));
        prop_assert!(Note::new(note).is_err());
    }

    #[test]
    fn a_parsed_marker_is_written_as_it_was(
        note in "\\[lmtokens 0?[1-9]{1,3} ((replaces 1[0-9]( after 2027-01-3[0-3]T0[0-9]:[0-6]0Z)?|expires 2027-01-0[0-9]T00:0[0-9](:[0-6][0-9])?Z|cancelled 2027-01-01T00:00Z)(; )?){0,3}\\]( .{0,9})?"
    ) {
        if let Some((marker, user_part)) = Marker::parse(&note) {
            prop_assert_eq!(marker.write(user_part), note.strip_suffix(' ').filter(|_| user_part.is_empty()).unwrap_or(&note));
        }
    }

    #[test]
    fn only_a_prefix_is_a_marker(marker in markers(), before in ".{1,9}") {
        let note = format!("{before}{marker}");
        prop_assert_eq!(Marker::parse(&note), None);
    }

    #[test]
    fn no_text_makes_parsing_panic(note in ".{0,200}", inside in ".{0,60}") {
        let _ = Marker::parse(&note);
        let _ = Marker::parse(&format!("[lmtokens {inside}] {note}"));
        let _ = Note::new(note);
    }
}
