//! What an answer means: accepted, refused for good, or to be tried again, and then when.
//!
//! 2xx accepts. 408, 425, 429, all of 5xx, and no answer at all are passing; `Retry-After` says how long, as seconds or as a
//! date. Everything else refuses: sending the same bytes again would not help.

use std::time::{Duration, SystemTime};

use towpath_model::Reason;
use towpath_sdk::http::{HttpError, Response};

/// However long an endpoint wants us to wait, it is asked again after this.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// So much of a body is quoted.
const EXCERPT_CHARS: usize = 300;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    /// The same bytes would be refused again.
    Refused(Fault),
    /// It may be accepted later.
    Failed(Failure),
    /// An earlier request of its lane was not accepted.
    NotSent,
    /// The configuration is at fault.
    Misconfigured(String),
}

/// A code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        Self::coded(fault.code, fault.reason)
    }
}

/// A fault that passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) fault: Fault,
    /// The endpoint said how long to wait.
    pub(crate) after: Option<Duration>,
    /// Other requests would meet the same fate now.
    pub(crate) concerns_all: bool,
}

impl Verdict {
    /// Judges an answer; `host` is whom it came from.
    pub(crate) fn of(answer: Result<Response, HttpError>, host: &str, now_ms: i64) -> Self {
        match answer {
            Ok(response) => Self::of_response(&response, host, now_ms),
            Err(HttpError::NotSent) => Self::NotSent,
            Err(HttpError::Timeout(reason)) => {
                Self::unanswered("http.timeout", format!("no answer from {host} in time: {reason}"))
            }
            Err(HttpError::Connection(reason)) => {
                Self::unanswered("http.connection", format!("no connection to {host}: {reason}"))
            }
            Err(HttpError::Denied(reason) | HttpError::Invalid(reason)) => Self::Misconfigured(reason),
        }
    }

    fn of_response(response: &Response, host: &str, now_ms: i64) -> Self {
        let status = response.status;
        if (200..300).contains(&status) {
            return Self::Accepted;
        }
        let mut reason = format!("{status} from {host}");
        let excerpt = excerpt(&response.body);
        if !excerpt.is_empty() {
            reason = format!("{reason}: {excerpt}");
        }
        let fault = Fault { code: "http.status", reason };
        if !(status == 408 || status == 425 || status == 429 || (500..600).contains(&status)) {
            return Self::Refused(fault);
        }
        let after = response.header("retry-after").and_then(|text| retry_after(text, now_ms));
        Self::Failed(Failure { fault, concerns_all: status == 429 || after.is_some(), after })
    }

    fn unanswered(code: &'static str, reason: String) -> Self {
        Self::Failed(Failure { fault: Fault { code, reason }, after: None, concerns_all: true })
    }
}

/// Reads `Retry-After`: seconds, or a date in one of HTTP's three forms.
fn retry_after(text: &str, now_ms: i64) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            until.saturating_sub(Duration::from_millis(u64::try_from(now_ms).unwrap_or(0)))
        }
    };
    Some(wait.min(WAIT_MAX))
}

/// The beginning of a body, on one line.
fn excerpt(body: &[u8]) -> String {
    let head = body.get(..EXCERPT_CHARS * 4).unwrap_or(body);
    let text = String::from_utf8_lossy(head);
    let text = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = text.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 784_111_777_000;

    fn judged(status: u16, retry_after: Option<&str>, body: &str) -> Verdict {
        let headers = retry_after.map(|text| ("retry-after".to_owned(), text.to_owned())).into_iter().collect();
        Verdict::of(Ok(Response { status, headers, body: body.into() }), "hooks", NOW_MS)
    }

    #[test]
    fn statuses_are_sorted_by_whether_trying_again_helps() {
        for status in [200, 201, 204, 299] {
            assert_eq!(judged(status, None, ""), Verdict::Accepted);
        }
        for status in [301, 400, 401, 403, 404, 405, 409, 413, 422] {
            let reason = format!("{status} from hooks: no {{\"way\"}}");
            assert_eq!(
                judged(status, None, "no\n {\"way\"}\0\n"),
                Verdict::Refused(Fault { code: "http.status", reason })
            );
        }
        for (status, concerns_all) in
            [(408, false), (425, false), (429, true), (500, false), (503, false), (599, false)]
        {
            let fault = Fault { code: "http.status", reason: format!("{status} from hooks") };
            assert_eq!(judged(status, None, ""), Verdict::Failed(Failure { fault, after: None, concerns_all }));
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("999999999", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, NOW_MS), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn no_answer_passes_and_a_refusal_by_the_host_does_not() {
        let failed = |error| match Verdict::of(Err(error), "hooks", NOW_MS) {
            Verdict::Failed(failure) => failure.fault.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(HttpError::Connection("refused".into())), "http.connection");
        assert_eq!(failed(HttpError::Timeout("30 s".into())), "http.timeout");
        let denied = Verdict::of(Err(HttpError::Denied("no key permits it".into())), "hooks", NOW_MS);
        assert_eq!(denied, Verdict::Misconfigured("no key permits it".into()));
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let quoted = excerpt("é".repeat(5000).as_bytes());
        assert_eq!(quoted.chars().count(), EXCERPT_CHARS + 1);
        assert!(quoted.ends_with("é…"));
        assert!(!excerpt(&[0xff; 10]).is_empty());
    }
}
