//! What a guest says, made fit to be shown: log lines, panics, errors, backtraces. The values of secrets are taken out, and what
//! is too long for a status or a record of the log is cut.

use towpath_model::Redactor;

/// What is longer is cut.
const TEXT_BYTES_MAX: usize = 16 << 10;
const CODE_BYTES_MAX: usize = 100;

/// The text without secrets, cut when it is too long. Secrets go first, so that none is cut in two and missed.
pub(crate) fn clean(redactor: &Redactor, text: &str) -> String {
    let mut shown = redactor.redact(text).into_owned();
    let length = shown.len();
    if length > TEXT_BYTES_MAX {
        shown.truncate(shown.floor_char_boundary(TEXT_BYTES_MAX));
        shown.push_str(&format!("… ({length} bytes in all)"));
    }
    shown
}

/// A code as a guest named it, or `otherwise` when it is no code.
pub(crate) fn code(given: String, otherwise: &str) -> String {
    if is_code(&given) { given } else { otherwise.to_owned() }
}

/// Whether a text can be a code: a short word, with dots.
pub(crate) fn is_code(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= CODE_BYTES_MAX && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_and_codes_are_words() {
        let text = clean(&Redactor::default(), &"é".repeat(TEXT_BYTES_MAX));
        assert!(text.len() < TEXT_BYTES_MAX + 40 && text.ends_with(&format!("({} bytes in all)", 2 * TEXT_BYTES_MAX)));
        assert_eq!(code("a.b-c_1".into(), "x"), "a.b-c_1");
        for bad in [String::new(), "a b".into(), "x".repeat(CODE_BYTES_MAX + 1)] {
            assert_eq!(code(bad, "x"), "x");
        }
    }
}
