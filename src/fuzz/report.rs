use crate::lifecycle::EarlierReport;

/// Reads an earlier report of an audit, which does not depend on the white space in it.
pub(super) fn report(input: &[u8]) {
    let text = super::text(input);
    let Ok(report) = EarlierReport::parse(&text) else { return };
    assert_eq!(EarlierReport::parse(&format!(" {text}\n")), Ok(report));
}
