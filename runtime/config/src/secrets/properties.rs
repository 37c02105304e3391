//! Java's properties files, in which Kafka's FileConfigProvider keeps secrets.

/// The value of a key; the last one counts where a key stands more than once.
pub(super) fn get(text: &str, wanted: &str) -> Option<String> {
    let mut found = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.starts_with(['#', '!']) {
            continue;
        }
        // A line that ends in an odd number of backslashes goes on in the next one.
        while line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let (key, value) = split(&line);
        if key == wanted {
            found = Some(value);
        }
    }
    found
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
    use super::get;

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
