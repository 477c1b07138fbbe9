//! The checks of a journal, tried with every single change of a small one.

use zeroize::Zeroizing;

use super::entry::Line;
use super::header::{Header, VERSION, run_of};
use super::read::{Contents, Unreadable, parse};
use super::seal;

fn header(proof: &str) -> (String, Zeroizing<String>) {
    let run = run_of(proof);
    let header = Header {
        lmtokens_journal: VERSION,
        run: run.clone(),
        proof: proof.to_owned(),
        portal: "http://127.0.0.1:1".to_owned(),
        begun: "2026-11-24T08:21:45+00:00".to_owned(),
        holds_keys: true,
        destination: None,
    };
    let line = seal::seal(&run, 1, &serde_json::to_string(&header).unwrap());
    (run, line)
}

/// Returns the lines of a journal of two finished rows and one failed row.
fn lines(proof: &str) -> Vec<String> {
    let (run, first) = header(proof);
    let row = |note: &str| format!(r#"{{"admin":32,"note":"{note}","status":2,"type":"lmv1","nth":0}}"#);
    let pending = |note: &str, id: i64| {
        let token = format!(
            r#"{{"id":{id},"admin_id":32,"admin_name":"api-user","type":"lmv1","tag":"t","access_id":"access{id}","access_key":"key{id}J*","created_on":1}}"#
        );
        format!(r#"{{"event":"pending","row":{},"token":{token}}}"#, row(note))
    };
    let created = |note: &str, id: i64| format!(r#"{{"event":"created","row":{},"id":{id}}}"#, row(note));
    let objects = [
        pending("a", 5),
        created("a", 5),
        pending("b", 6),
        format!(r#"{{"event":"failed","row":{},"error":"no"}}"#, row("c")),
        created("b", 6),
    ];
    let sealed = (2..).zip(&objects).map(|(number, object)| seal::seal(&run, number, object).to_string());
    std::iter::once(first.to_string()).chain(sealed).collect()
}

fn parsed(lines: &[String]) -> Result<Contents, Unreadable> {
    parse(lines.concat().as_bytes(), false)
}

#[test]
fn intact_journal_is_read() {
    let text = lines("p").concat();
    let contents = parse(text.as_bytes(), false).unwrap();
    assert_eq!((contents.whole_bytes, contents.lacks_newline, contents.next), (text.len(), false, 7));
    assert_eq!(contents.states.tokens().count(), 2);
}

#[test]
fn sealed_line_is_json_that_lines_are_read_from() {
    for line in lines("p").iter().skip(1) {
        assert!(serde_json::from_str::<Line>(line).is_ok());
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let text = lines("p").concat().into_bytes();
    for position in 0..text.len() {
        for bit in 0..8 {
            let mut flipped = text.clone();
            flipped[position] ^= 1 << bit;
            assert!(parse(&flipped, false).is_err(), "bit {bit} of byte {position}");
        }
    }
}

#[test]
fn intact_lines_of_a_journal_with_a_flipped_bit_are_read_unchanged() {
    let whole = parsed(&lines("p")).unwrap();
    let first = lines("p")[0].len();
    let text = lines("p").concat().into_bytes();
    for position in first..text.len() {
        for bit in 0..8 {
            let mut flipped = text.clone();
            flipped[position] ^= 1 << bit;
            let contents = parse(&flipped, true).unwrap();
            assert!(!contents.damage.is_empty(), "bit {bit} of byte {position}");
            for token in contents.states.tokens() {
                let mut known = whole.states.tokens().map(|known| &known.journaled);
                assert!(known.any(|known| *known == token.journaled), "bit {bit} of byte {position}");
            }
        }
    }
}

#[test]
fn every_cut_leaves_the_lines_before_it() {
    let all = lines("p");
    let text = all.concat();
    for length in 0..text.len() {
        let cut = parse(&text.as_bytes()[..length], false);
        if length < all[0].len() {
            assert!(cut.is_err(), "{length} bytes");
            continue;
        }
        let contents = cut.unwrap();
        let mut whole = 0;
        let mut expected = all[0].len();
        for line in &all[1..] {
            // A line that lacks only its newline is complete.
            if expected + line.len() - 1 > length {
                break;
            }
            whole += 1;
            expected = (expected + line.len()).min(length);
        }
        assert_eq!((contents.next, contents.whole_bytes), (whole + 2, expected), "{length} bytes");
        assert_eq!(contents.lacks_newline, !text[..expected].ends_with('\n'), "{length} bytes");
    }
}

#[test]
fn removed_repeated_and_moved_lines_are_noticed() {
    let all = lines("p");
    for position in 0..all.len() {
        let mut removed = all.clone();
        removed.remove(position);
        // The loss of the last lines does not show in the file.
        assert_eq!(parsed(&removed).is_err(), position + 1 < all.len(), "line {position} removed");
        for other in 0..=all.len() {
            let mut repeated = all.clone();
            repeated.insert(other, all[position].clone());
            assert!(parsed(&repeated).is_err(), "line {position} repeated before {other}");
        }
        for other in 0..all.len() {
            let mut swapped = all.clone();
            swapped.swap(position, other);
            assert_eq!(parsed(&swapped).is_err(), position != other, "lines {position} and {other} swapped");
        }
    }
}

#[test]
fn line_of_another_journal_is_noticed() {
    let (all, others) = (lines("p"), lines("q"));
    for position in 0..all.len() {
        let mut mixed = all.clone();
        mixed[position].clone_from(&others[position]);
        assert!(parsed(&mixed).is_err(), "line {position}");
        let mut extended = all.clone();
        extended.push(others[position].clone());
        assert!(parsed(&extended).is_err(), "line {position} at the end");
    }
}

#[test]
fn header_with_the_run_id_of_another_run_is_refused() {
    let (run, line) = header("p");
    let other = run_of("q");
    let object = line.split_once(",\"line\"").unwrap().0.replace(&run, &other) + "}";
    let forged = seal::seal(&other, 1, &object);
    assert!(matches!(parse(forged.as_bytes(), true), Err(Unreadable::Damaged(_))));
}

#[test]
fn empty_journal_is_damaged() {
    assert_eq!(parse(b"", true), Err(Unreadable::Damaged("it is empty".to_owned())));
}
