#![allow(clippy::panic, reason = "a target fails by panicking")]

use super::header::{Header, VERSION, run_of};
use super::read::parse;
use super::seal::seal;
use crate::fuzz::text;

/// Reads the lines as a journal. The intact lines alone are the same journal, and one that is cut has the lines before
/// the cut.
///
/// Each line gets the seal of its place, except one that begins with `!`, which is written as it is.
pub(crate) fn fuzz_journal(input: &[u8]) {
    let _ = parse(input, false);
    let _ = parse(input, true);
    let run = run_of("proof");
    let header = Header {
        lmtokens_journal: VERSION,
        run: run.clone(),
        proof: "proof".to_owned(),
        portal: "https://acme.logicmonitor.com/santaba/rest".to_owned(),
        begun: "2026-11-24T08:21:45+00:00".to_owned(),
        holds_keys: true,
        destination: None,
    };
    let first = seal(&run, 1, &serde_json::to_string(&header).unwrap_or_default()).to_string();
    let input = text(input);
    let lines = input.lines().zip(2..).map(|(line, number)| match line.strip_prefix('!') {
        Some(line) => format!("{line}\n"),
        None => seal(&run, number, line).to_string(),
    });
    let lines: Vec<String> = std::iter::once(first).chain(lines).collect();
    let journal = lines.concat().into_bytes();

    let Ok(lenient) = parse(&journal, true) else { panic!("intact lines are not read") };
    assert!(lenient.whole_bytes <= journal.len());
    let Ok(strict) = parse(&journal, false) else {
        assert!(!lenient.damage.is_empty(), "damage is not described");
        return;
    };
    assert_eq!(strict, lenient);
    let Some(whole) = journal.get(..strict.whole_bytes) else { panic!("more bytes than the journal has") };
    assert_eq!(parse(whole, false).as_ref(), Ok(&strict), "the intact lines are read differently");
    // Where a process that is killed while it writes cuts a journal.
    let mut start = 0;
    for line in &lines {
        for cut in [start + line.len() / 2, start + line.len() - 1] {
            let torn = journal.get(..cut.min(strict.whole_bytes)).unwrap_or_default();
            if start > 0 {
                let Ok(torn) = parse(torn, false) else {
                    panic!("the end is torn at {cut}, the rest is refused")
                };
                assert!(torn.whole_bytes <= cut && torn.next <= strict.next);
            }
        }
        start += line.len();
    }
}
