//! Notes as portals store them.

use icu_normalizer::ComposingNormalizerBorrowed;
use lmtokens::testing::note::normalized;
use proptest::prelude::*;

use crate::support::cases;

/// Names that HTML 4 and HTML 5 share, and others.
const NAMES: [&str; 24] = [
    "amp", "lt", "gt", "quot", "apos", "nbsp", "uuml", "Uuml", "szlig", "yuml", "shy", "AElig", "ndash",
    "hellip", "euro", "zwj", "Omega", "diams", "thinsp", "Dagger", "UUML", "ü", "", "ampamp",
];

fn reference(note: &str) -> String {
    let mut text = note.to_owned();
    for _ in 0..3 {
        text = html_escape::decode_html_entities(&text).into_owned();
    }
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&text);
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn escapes_are_decoded() {
    for (stored, note) in [
        ("f&uuml;r CI &ndash; 5 &lt; 6", "für CI – 5 < 6"),
        ("&amp;amp;lt;", "<"),
        ("&#228;&#xE4;&#X1F600;", "ää😀"),
        (
            "R&D; a & b &nothing; &#; &#x; &#+65; &#1114112; &#0;",
            "R&D; a & b &nothing; &#; &#x; &#+65; &#1114112; &#0;",
        ),
        ("&nbsp; a&#9;b", "a b"),
    ] {
        assert_eq!(normalized(stored), note);
    }
}

#[test]
fn names_are_those_of_html() {
    let mut known = 0;
    for (name, _) in html_escape::NAMED_ENTITIES {
        let escape = format!("&{};", str::from_utf8(name).unwrap());
        let decoded = normalized(&escape);
        if decoded != escape {
            assert_eq!(decoded, reference(&escape), "{escape}");
            known += 1;
        }
    }
    // Those of HTML 4 without `lang` and `rang`, which became other characters, and `apos`.
    assert_eq!(known, 252 - 2 + 1);
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn escapes_are_decoded_as_by_another_decoder(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::sample::select(&NAMES[..]).prop_map(|name| format!("&{name};")),
                any::<char>().prop_map(|character| format!("&#{};", u32::from(character))),
                any::<char>().prop_map(|character| format!("&#x{:x};", u32::from(character))),
                "[&;#xX+amplt0-9 e\u{301}ü]{1,6}",
            ],
            0..8,
        )
    ) {
        let note = pieces.concat();
        prop_assert_eq!(normalized(&note), reference(&note), "{}", note);
    }
}
