//! Which records go into a request together, on which lane, and what its body is.
//!
//! A record's lane follows from its key, so records of one key are never overtaken; records without a key have nobody to wait
//! for. In batches, all records of a key are in requests of one lane, and there are as many lanes as there are full batches,
//! up to the requests in flight: what fits into one request goes out as one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

use towpath_model::{Encoding, Payload};
use towpath_sdk::http::Request;

use crate::{Error, Mode, Settings};

/// No body of a batch grows beyond, unless a single value does.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Set in the lanes of records without a key.
const KEYLESS: u64 = 1 << 63;

/// A record to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// The lane of its key; none without a key.
    pub(crate) lane: Option<u64>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) is_json: bool,
}

impl<'a> Entry<'a> {
    /// A record's entry.
    ///
    /// # Errors
    /// When its value cannot be sent in this mode.
    pub(crate) fn new(mode: Mode, key: Option<&[u8]>, value: Payload<'a>) -> Result<Self, Error> {
        let refused = |reason: &str| Err(Error::Value { reason: reason.to_owned() });
        let is_json = value.form.encoding == Encoding::Json;
        match (mode, value.form.encoding, value.bytes) {
            (_, Encoding::Connect, Some(_)) => return refused("the value is neither JSON nor bytes"),
            (Mode::Array, Encoding::Bytes, Some(bytes)) if !is_document(bytes) => {
                return refused("the value is not a JSON document and cannot stand in an array");
            }
            (Mode::Lines, Encoding::Bytes, Some(bytes)) if bytes.contains(&b'\n') && !is_document(bytes) => {
                return refused("the value holds a line feed and cannot stand on a line");
            }
            _ => {}
        }
        Ok(Self { lane: key.map(lane_of), value: value.bytes, is_json })
    }
}

fn is_document(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// The lane of a key.
pub(crate) fn lane_of(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() & !KEYLESS
}

/// Records that go out in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) lane: u64,
    /// Where its entries stand in [`Packets::order`].
    range: Range<usize>,
}

/// All entries, shared out among requests.
#[derive(Debug)]
pub(crate) struct Packets {
    order: Vec<u32>,
    pub(crate) packets: Vec<Packet>,
}

impl Packets {
    /// Shares entries out. Packets of a lane stand in the order in which they must be sent.
    pub(crate) fn of(entries: &[Entry<'_>], settings: &Settings) -> Self {
        let mut order: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
        if settings.mode == Mode::Single {
            let lane = |at: usize, entry: &Entry<'_>| entry.lane.unwrap_or(KEYLESS | at as u64);
            let packet = |(at, entry)| Packet { lane: lane(at, entry), range: at..at + 1 };
            let packets = entries.iter().enumerate().map(packet).collect();
            return Self { order, packets };
        }
        let lanes = entries.len().div_ceil(settings.batch_max_size).clamp(1, settings.max_in_flight as usize) as u64;
        let lane = |at: u32| entries.get(at as usize).and_then(|entry| entry.lane).unwrap_or(u64::from(at)) % lanes;
        order.sort_by_key(|at| lane(*at));
        let mut packets: Vec<Packet> = Vec::new();
        let mut body_bytes = 0;
        for (place, at) in order.iter().enumerate() {
            let bytes = entries.get(*at as usize).and_then(|entry| entry.value).map_or(4, <[u8]>::len) + 1;
            let lane = lane(*at);
            match packets.last_mut() {
                Some(packet)
                    if packet.lane == lane
                        && packet.range.len() < settings.batch_max_size
                        && body_bytes + bytes <= BODY_BYTES_MAX =>
                {
                    packet.range.end = place + 1;
                    body_bytes += bytes;
                }
                _ => {
                    packets.push(Packet { lane, range: place..place + 1 });
                    body_bytes = bytes;
                }
            }
        }
        Self { order, packets }
    }

    /// The indexes of a packet's entries.
    pub(crate) fn entries_of(&self, packet: &Packet) -> impl Iterator<Item = usize> {
        self.order.get(packet.range.clone()).unwrap_or_default().iter().map(|at| *at as usize)
    }

    /// The request that carries a packet.
    pub(crate) fn request(&self, packet: &Packet, entries: &[Entry<'_>], settings: &Settings) -> Request {
        let carried = || self.entries_of(packet).filter_map(|at| entries.get(at));
        let body = match settings.mode {
            Mode::Single => carried().find_map(|entry| entry.value).unwrap_or_default().to_vec(),
            Mode::Array => array(carried()),
            Mode::Lines => lines(carried()),
        };
        let mut headers = settings.headers.clone();
        if !settings.has_content_type {
            let content_type = match settings.mode {
                Mode::Single if carried().any(|entry| entry.is_json) => "application/json",
                Mode::Single => "application/octet-stream",
                Mode::Array => "application/json",
                Mode::Lines => "application/x-ndjson",
            };
            headers.push(("Content-Type".to_owned(), content_type.to_owned()));
        }
        Request {
            method: settings.method.clone(),
            url: settings.url.clone(),
            headers,
            body,
            timeout: settings.timeout,
            credential: settings.credential.clone(),
            lane: packet.lane,
        }
    }
}

fn array<'a>(entries: impl Iterator<Item = &'a Entry<'a>>) -> Vec<u8> {
    let mut body = vec![b'['];
    for entry in entries {
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(entry.value.unwrap_or(b"null"));
    }
    body.push(b']');
    body
}

fn lines<'a>(entries: impl Iterator<Item = &'a Entry<'a>>) -> Vec<u8> {
    let mut body = Vec::new();
    for entry in entries {
        let start = body.len();
        body.extend_from_slice(entry.value.unwrap_or(b"null").trim_ascii_end());
        // A line feed can only stand between the tokens of a JSON document, so a blank means the same there.
        for byte in body.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
        body.push(b'\n');
    }
    body
}
