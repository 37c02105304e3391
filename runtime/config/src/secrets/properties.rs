//! Java's properties files, in which Kafka's FileConfigProvider keeps secrets.

/// The value of a key; the last one counts where a key stands more than once.
pub(super) fn get(text: &str, wanted: &str) -> Option<String> {
    properties(text).into_iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value)
}

/// All keys and values of a properties file, in order.
pub fn properties(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        // A line that ends in an odd number of backslashes goes on in the next one.
        while line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        found.push(split(&line));
    }
    found
}

/// A line of a properties file. The key is one of letters, digits, dots and dashes.
pub(crate) fn property(key: &str, value: &str) -> String {
    let mut line = format!("{key}=");
    for (at, character) in value.chars().enumerate() {
        match character {
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            '\u{c}' => line.push_str("\\f"),
            ' ' if at == 0 => line.push_str("\\ "),
            other => line.push(other),
        }
    }
    line.push('\n');
    line
}

/// Key and value, which `=`, `:` or white space divide.
fn split(line: &str) -> (String, String) {
    let mut key = String::new();
    let mut rest = line.chars().peekable();
    while let Some(next) = rest.next_if(|next| !matches!(next, '=' | ':') && !next.is_whitespace()) {
        key.push(next);
        if next == '\\' {
            key.extend(rest.next());
        }
    }
    while rest.next_if(|next| next.is_whitespace()).is_some() {}
    rest.next_if(|next| matches!(next, '=' | ':'));
    while rest.next_if(|next| next.is_whitespace()).is_some() {}
    (unescape(&key), unescape(&rest.collect::<String>()))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        if next != '\\' {
            out.push(next);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                out.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{get, property};

    #[test]
    fn what_is_written_is_read_back() {
        for value in
            ["", "plain", " a b ", "=x", ":", "#", "a\\b\\", "two\nlines\r\n\ttab", "bü 😀", "\u{c}", "\\u0041"]
        {
            let text = format!("before=1\n{}after=2\n", property("some.key", value));
            assert_eq!(get(&text, "some.key").as_deref(), Some(value));
            assert_eq!(get(&text, "after").as_deref(), Some("2"));
        }
    }

    #[test]
    fn values_are_read_as_java_reads_them() {
        let text = "# a comment\n! another\nplain=value\n  spaced  :  with spaces \nempty=\nlong=one\\\n   two\n\
                    esc\\:aped=a\\=b\\u00fc\\n\nplain=last\nbare word";
        for (key, value) in [
            ("plain", Some("last")),
            ("spaced", Some("with spaces ")),
            ("empty", Some("")),
            ("long", Some("onetwo")),
            ("esc:aped", Some("a=bü\n")),
            ("bare", Some("word")),
            ("# a", None),
            ("nothing", None),
        ] {
            assert_eq!(get(text, key).as_deref(), value, "{key}");
        }
    }
}
