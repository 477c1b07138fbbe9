use super::first_line;
use crate::ids::{Note, TokenId};
use crate::marker::Marker;
use crate::tag::{RunId, Tag};

/// Reads a note as a tag and as a marker, and writes both again; as a user's note, it survives both.
pub(super) fn notes(input: &[u8]) {
    let text = super::text(input);
    let (line, rest) = first_line(&text);
    let tag = Tag::parse(line);
    if let Some((tag, last)) = tag {
        assert_eq!(tag.note(last), line);
        let _ = tag.note_problem(last);
    }
    let marker = Marker::parse(line);
    if let Some((marker, user_part)) = marker {
        let written = marker.write(user_part);
        assert_eq!(Marker::parse(&written), Some((marker, user_part)));
        assert_eq!(line.trim_end(), written.trim_end(), "another form of the marker is read");
    }
    let note = if rest.is_empty() { line } else { rest };
    if Note::new(note).is_err() {
        return;
    }
    assert_eq!((Tag::parse(note), Marker::parse(note)), (None, None), "a user's note is a tag or a marker");
    if let Some((marker, _)) = marker {
        assert_eq!(Marker::parse(&marker.write(note)), Some((marker, note)));
    }
    let last = Some(note).filter(|note| !note.is_empty());
    let replaces = tag.and_then(|(tag, _)| tag.replaces).or_else(|| TokenId::new(17).ok());
    let expires = tag.and_then(|(tag, _)| tag.expires);
    let Ok(run) = "00000000000000ff".parse::<RunId>() else { return };
    let Ok(tag) = Tag::fresh_replacing(replaces, run, 1_800_000_000_000, expires, last) else { return };
    assert_eq!(Tag::parse(&tag.note(last)), Some((tag, last)));
    assert_eq!(tag.note_problem(last), None);
}
