//! The encodings in which spreadsheets and shells write text.

use crate::error::{Error, Result};

/// Returns the text of an input without its byte order mark.
pub(super) fn decode(bytes: Vec<u8>, name: &str) -> Result<String> {
    let is_spreadsheet = bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\xD0\xCF\x11\xE0");
    if is_spreadsheet {
        let problem = format!("{name} is a workbook or an archive; expected CSV or JSON lines");
        return Err(Error::argument(problem).suggest("in the spreadsheet program, save it as \"CSV UTF-8\""));
    }
    match bytes.as_slice() {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => {
            Err(Error::argument(format!("{name} is in UTF-32; expected UTF-8 or UTF-16")))
        }
        [0xFF, 0xFE, units @ ..] => utf_16(units, u16::from_le_bytes, name),
        [0xFE, 0xFF, units @ ..] => utf_16(units, u16::from_be_bytes, name),
        // Every second byte of the first letters is zero, which no other encoding of a header or of JSON has.
        [1..=255, 0, 1..=255, 0, ..] => utf_16(&bytes, u16::from_le_bytes, name),
        [0, 1..=255, 0, 1..=255, ..] => utf_16(&bytes, u16::from_be_bytes, name),
        _ => utf_8(bytes, name),
    }
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16, name: &str) -> Result<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    let invalid = |text: &str, problem: &str| {
        let line = super::lines(text).count();
        Error::argument(format!("{name} is not valid UTF-16: line {line}: {problem}"))
    };
    for c in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match c {
            Ok(c) => text.push(c),
            Err(error) => {
                let problem = format!("surrogate 0x{:04X} without its pair", error.unpaired_surrogate());
                return Err(invalid(&text, &problem));
            }
        }
    }
    if !rest.is_empty() {
        return Err(invalid(&text, "half a character at the end"));
    }
    Ok(text)
}

fn utf_8(bytes: Vec<u8>, name: &str) -> Result<String> {
    let mut text = String::from_utf8(bytes).map_err(|error| invalid_utf_8(&error, name))?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

fn invalid_utf_8(error: &std::string::FromUtf8Error, name: &str) -> Error {
    /// The bytes that Windows-1252 does not define.
    const UNDEFINED: [u8; 5] = [0x81, 0x8D, 0x8F, 0x90, 0x9D];
    let (valid, rest) = error
        .as_bytes()
        .split_at_checked(error.utf8_error().valid_up_to())
        .unwrap_or((error.as_bytes(), &[]));
    let line = super::lines(&String::from_utf8_lossy(valid)).count();
    let byte = rest.first().copied().unwrap_or_default();
    let problem =
        format!("{name} is not valid UTF-8: line {line}: byte 0x{byte:02X}; expected UTF-8 or UTF-16");
    let error = Error::argument(problem);
    if rest.iter().any(|byte| UNDEFINED.contains(byte) || *byte == 0) {
        return error;
    }
    error.suggest(
        "it may be in Windows-1252, the encoding of \"CSV\" in Excel: save it as \"CSV UTF-8\", or convert it with \
         iconv -f WINDOWS-1252 -t UTF-8",
    )
}

#[cfg(test)]
mod tests {
    use super::decode;

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn encodings_with_and_without_a_byte_order_mark_are_read() {
        let text = "admin_id;note\r\n32;ümlaut 🔑\r\n";
        let with_mark = format!("\u{feff}{text}");
        for written in [text, &with_mark] {
            assert_eq!(decode(written.as_bytes().to_vec(), "it").unwrap(), text);
            for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                assert_eq!(decode(utf_16(written, bytes), "it").unwrap(), text);
            }
        }
        assert_eq!(decode(Vec::new(), "it").unwrap(), "");
    }

    #[test]
    fn errors_name_the_line_and_the_byte() {
        let decoded = |bytes: &[u8]| decode(bytes.to_vec(), "it").unwrap_err();
        let error = |bytes: Vec<u8>| decoded(&bytes).to_string();
        let windows = decoded(b"admin_id,note\r\n32,a\r\n33,M\xFCller\r\n");
        assert!(windows.to_string().starts_with("it is not valid UTF-8: line 3: byte 0xFC;"), "{windows}");
        assert!(format!("{:?}", windows.details().advice).contains("Windows-1252"), "{windows:?}");
        let other = decoded(b"admin_id\n\x81");
        assert!(
            other.to_string().contains("line 2: byte 0x81") && other.details().advice.is_empty(),
            "{other:?}"
        );
        let mut cut = utf_16("\u{feff}a\nb", u16::to_le_bytes);
        cut.push(b'c');
        assert_eq!(error(cut), "it is not valid UTF-16: line 2: half a character at the end");
        assert_eq!(
            error(vec![0xFE, 0xFF, 0, b'\n', 0xD8, 0]),
            "it is not valid UTF-16: line 2: surrogate 0xD800 without its pair"
        );
        assert!(error(b"\xFF\xFE\0\0a\0\0\0".to_vec()).contains("UTF-32"));
        assert!(error(b"PK\x03\x04...".to_vec()).contains("workbook"));
    }
}
