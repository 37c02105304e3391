//! Spans: what tasks do with batches, for whoever traces. One span for each batch and step, never one for a record.
//!
//! ```text
//! source: poll ─▶ convert ─▶ append, whose context the records carry in `traceparent`
//! sink:   fetch ─▶ convert ─▶ put, linked to the contexts that the records carry; flush ─▶ commit, linked to the batches concerned
//! ```
//! Here are the words in which a worker tells of spans; the seam [`Spans`] is fulfilled where they are sent away.

/// The header of a record that says in which trace it was written, as W3C's Trace Context has it.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Takes spans. Called by tasks between two steps, so nothing in it waits.
pub trait Spans: Send + Sync {
    /// A place for a new trace, if this one is to be kept; one that follows a trace that was kept always is.
    fn begin(&self, follows: bool) -> Option<SpanContext>;
    /// A place for a further span of a trace.
    fn child(&self, of: SpanContext) -> SpanContext;
    /// A span has ended. What cannot be taken is dropped and counted.
    fn ended(&self, span: Span);
    /// How many spans were dropped.
    fn dropped(&self) -> u64;
}

/// Where a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanContext {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub span: u64,
}

/// What a span is to those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work within the worker.
    Internal,
    /// Records become available to others.
    Producer,
    /// Records of others are taken.
    Consumer,
    /// Another side is asked.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it stands.
    pub context: SpanContext,
    /// The span that it is a part of.
    pub parent: Option<SpanContext>,
    /// Spans of other traces that it goes back to.
    pub links: Vec<SpanContext>,
    /// What it is to those around it.
    pub kind: SpanKind,
    /// Its name.
    pub name: String,
    /// When it began, in nanoseconds since the epoch.
    pub start_ns: u64,
    /// When it ended, in nanoseconds since the epoch.
    pub end_ns: u64,
    /// Its attributes, named as OpenTelemetry's conventions for messaging name them.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl SpanContext {
    /// The value of `traceparent`, sampled.
    pub(crate) fn to_header(self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.span)
    }

    /// Reads a value of `traceparent`, and whether its trace is kept.
    pub(crate) fn of_header(value: &[u8]) -> Option<(Self, bool)> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.trim().split('-');
        let hex = |part: Option<&'_ str>, digits: usize| {
            let part = part.filter(|part| part.len() == digits && part.bytes().all(is_lower_hex))?;
            u128::from_str_radix(part, 16).ok()
        };
        let version = hex(parts.next(), 2)?;
        let (trace, span, flags) = (hex(parts.next(), 32)?, hex(parts.next(), 16)?, hex(parts.next(), 2)?);
        // Later versions may append parts; this one may not.
        let sound = trace != 0 && span != 0 && version != 0xff && (version > 0 || parts.next().is_none());
        let context = Self { trace, span: u64::try_from(span).ok()? };
        sound.then_some((context, flags & 1 == 1))
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_went_and_others_are_read_by_the_rules() {
        let context = SpanContext { trace: 0xab << 64, span: 7 };
        let header = context.to_header();
        assert_eq!(header, "00-00000000000000ab0000000000000000-0000000000000007-01");
        assert_eq!(SpanContext::of_header(header.as_bytes()), Some((context, true)));
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (text, kept) in [
            (format!("00-{trace}-b7ad6b7169203331-00"), Some(false)),
            (format!("01-{trace}-b7ad6b7169203331-03-more"), Some(true)),
            (format!("00-{trace}-b7ad6b7169203331-01-more"), None),
            (format!("ff-{trace}-b7ad6b7169203331-01"), None),
            (format!("00-{trace}-0000000000000000-01"), None),
            (format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()), None),
            (format!("00-{trace}-+7ad6b7169203331-01"), None),
            ("nothing".to_owned(), None),
        ] {
            let read = SpanContext::of_header(text.as_bytes());
            assert_eq!(read.map(|(_, kept)| kept), kept, "{text}");
        }
    }
}
