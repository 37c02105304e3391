//! The settings, parsed once at the edge: afterwards there is no wrong value left.

use std::time::Duration;

use towpath_model::{Config, Fault};
use towpath_sdk::settings::Reader;

use crate::spec;

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One value as it is.
    Single,
    /// A JSON array of values.
    Array,
    /// A value a line.
    Lines,
}

/// What becomes of records without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullValues {
    /// Left out and counted.
    Ignore,
    /// Sent.
    Write,
    /// Refused.
    Fail,
}

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where requests go.
    pub url: String,
    /// Host and port of it, for messages.
    pub host: String,
    /// The method.
    pub method: String,
    /// Headers of every request, without Content-Type unless the user set it.
    pub headers: Vec<(String, String)>,
    /// Whether the user chose the Content-Type.
    pub has_content_type: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Which credential of the spec the host adds.
    pub credential: Option<String>,
    /// What a body is.
    pub mode: Mode,
    /// The most records in a request.
    pub batch_max_size: usize,
    /// How long a batch waits to be filled.
    pub linger_ms: i64,
    /// The most requests under way.
    pub max_in_flight: u32,
    /// What becomes of records without a value.
    pub null_values: NullValues,
}

impl Settings {
    /// Reads a configuration. Defaults and aliases are those of the spec.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn parse(config: &Config) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(&spec(), config);
        let (mode, batch_max_size) = batches(&mut reader);
        let headers = headers(&mut reader, config);
        let url = reader.text("http.url");
        let settings = Self {
            host: host(&mut reader, &url),
            url,
            method: reader.text("http.method"),
            has_content_type: headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")),
            headers,
            timeout: timeout(&mut reader),
            credential: credential(&mut reader),
            mode,
            batch_max_size,
            linger_ms: if mode == Mode::Single { 0 } else { reader.number("linger.ms", 0..=3_600_000) },
            max_in_flight: u32::try_from(reader.number("max.in.flight", 1..=1000)).unwrap_or(1),
            null_values: match reader.text("behavior.on.null.values").as_str() {
                "write" => NullValues::Write,
                "fail" => NullValues::Fail,
                _ => NullValues::Ignore,
            },
        };
        reader.finish(settings)
    }
}

fn batches(reader: &mut Reader) -> (Mode, usize) {
    let size = reader.optional("batch.max.size").map(|_| reader.number("batch.max.size", 1..=100_000));
    let mode = match reader.text("http.batch.mode").as_str() {
        "single" => Mode::Single,
        "array" => Mode::Array,
        "lines" => Mode::Lines,
        _ if size.is_some_and(|size| size > 1) => Mode::Array,
        _ => Mode::Single,
    };
    match (mode, size) {
        (Mode::Single, Some(2..)) => {
            reader.fault("batch.max.size", "mode single sends one record a request; choose array or lines for more");
            (mode, 1)
        }
        (Mode::Single, _) => (mode, 1),
        // One record a request has nothing around it, whatever the mode.
        (_, Some(1)) => (Mode::Single, 1),
        (_, size) => (mode, size.and_then(|size| usize::try_from(size).ok()).unwrap_or(500)),
    }
}

fn timeout(reader: &mut Reader) -> Duration {
    let millis = match reader.optional("http.timeout") {
        Some(_) => reader.number("http.timeout", 1..=3600) * 1000,
        None => reader.number("http.timeout.ms", 1..=3_600_000),
    };
    Duration::from_millis(u64::try_from(millis).unwrap_or(1))
}

fn headers(reader: &mut Reader, original: &Config) -> Vec<(String, String)> {
    let list = reader.text("http.headers");
    let separator = if list.contains('|') { '|' } else { ',' };
    let mut headers = Vec::new();
    for item in list.split(separator).map(str::trim).filter(|item| !item.is_empty()) {
        match item.split_once(':') {
            Some((name, value)) => header(reader, "http.headers", (name, value), &mut headers),
            None => reader.fault("http.headers", format!("`{item}` is not of the form Name:value")),
        }
    }
    for pair in original.with_prefix("header.") {
        header(reader, "header.", pair, &mut headers);
    }
    if let Some(value) = reader.optional("http.headers.content.type") {
        header(reader, "http.headers.content.type", ("Content-Type", &value), &mut headers);
    }
    headers
}

fn header(reader: &mut Reader, key: &str, (name, value): (&str, &str), headers: &mut Vec<(String, String)>) {
    let (name, value) = (name.trim(), value.trim());
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        reader.fault(key, format!("`{name}` is not the name of a header"));
    } else if value.chars().any(|c| c.is_control() && c != '\t') {
        reader.fault(key, format!("the value of `{name}` holds a control character"));
    } else {
        headers.push((name.to_owned(), value.to_owned()));
    }
}

fn credential(reader: &mut Reader) -> Option<String> {
    let kind = reader.text("http.auth.type");
    if kind == "basic" && reader.optional("http.auth.user").is_none() {
        reader.fault("http.auth.user", "basic authentication needs a user");
    }
    Some(kind).filter(|kind| kind != "none")
}

/// The authority of a URL.
fn host(reader: &mut Reader, url: &str) -> String {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.is_empty() {
        reader.fault("http.url", format!("`{url}` is not a URL that begins with http:// or https:// and a host"));
    } else if host.contains('@') {
        reader.fault("http.url", "a URL cannot hold a user; set http.auth.type and its keys instead");
    }
    host.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(settings: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let mut config: Config = settings.iter().copied().collect();
        if config.get("http.api.url").is_none() && config.get("http.url").is_none() {
            config.set("http.url", "http://hooks:8080/in?x=1");
        }
        Settings::parse(&config).map_err(|faults| faults.iter().map(|fault| fault.reason.to_string()).collect())
    }

    #[test]
    fn a_url_is_enough() {
        let settings = parse(&[]).unwrap();
        assert_eq!((settings.host.as_str(), settings.method.as_str()), ("hooks:8080", "POST"));
        assert_eq!((settings.mode, settings.batch_max_size, settings.max_in_flight), (Mode::Single, 1, 16));
        assert_eq!((settings.timeout, settings.credential), (Duration::from_secs(30), None));
    }

    #[test]
    fn size_and_mode_follow_from_each_other() {
        let batches =
            |settings: &[(&str, &str)]| parse(settings).map(|settings| (settings.mode, settings.batch_max_size));
        assert_eq!(batches(&[("batch.max.size", "50")]), Ok((Mode::Array, 50)));
        assert_eq!(batches(&[("batch.max.size", "1"), ("http.batch.mode", "array")]), Ok((Mode::Single, 1)));
        assert_eq!(batches(&[("http.batch.mode", "lines")]), Ok((Mode::Lines, 500)));
        assert!(batches(&[("batch.max.size", "2"), ("http.batch.mode", "single")]).is_err());
    }

    #[test]
    fn headers_come_from_lists_and_from_keys_of_their_own() {
        let settings = parse(&[("headers", "X-A: 1|X-B:2,3"), ("header.X-C", "4, 5"), ("http.timeout", "5")]).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(settings.headers, [pair("X-A", "1"), pair("X-B", "2,3"), pair("X-C", "4, 5")]);
        assert_eq!(settings.timeout, Duration::from_secs(5));
        assert!(parse(&[("http.headers.content.type", "text/plain")]).unwrap().has_content_type);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let faults = parse(&[
            ("http.api.url", "ftp://files"),
            ("http.headers", "broken,X-\u{e9}:1"),
            ("header.X", "a\nb"),
            ("http.auth.type", "basic"),
            ("max.in.flight", "0"),
        ]);
        assert_eq!(
            faults.unwrap_err(),
            [
                "`broken` is not of the form Name:value",
                "`X-é` is not the name of a header",
                "the value of `X` holds a control character",
                "`ftp://files` is not a URL that begins with http:// or https:// and a host",
                "basic authentication needs a user",
                "0 is not between 1 and 1000",
            ]
        );
        let with_user = parse(&[("http.url", "http://me:secret@hooks/")]).unwrap_err();
        assert!(!with_user[0].contains("secret"), "a secret is not repeated");
    }
}
