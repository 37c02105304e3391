//! Messages become data under Connect's schema: one walk, compiled once for each message.
//!
//! Fields may come in any order and several times, so what a message holds is noted first and then written in the schema's order. What has no
//! place there is passed over, as is a value of a form that its field does not have.

use std::collections::{HashMap, HashSet};

use towpath_model::datum::{write_bytes, write_long};

use super::DAY_MS;
use super::scalar::{Scalar, unlike};
use super::wire::{Raw, Wire};
use crate::fault::Fault;
use crate::json::{decimal_text, decimal_unscaled};
use crate::transform::{Moment, days_before};

/// No datum may grow beyond this: a message of many empty ones is larger as a datum.
const BYTES_MAX: usize = 1 << 30;
/// Numbers below are looked up by their place.
const NEAR: u32 = 64;
/// More digits than any decimal has.
const SCALE_MAX: i32 = 10_000;

/// Reads data of one message.
#[derive(Debug)]
pub(in crate::registered) struct Decoder(Step);

/// How one value is read.
#[derive(Debug)]
pub(super) enum Step {
    Scalar(Scalar),
    Message(Message),
    /// A message that holds one scalar.
    Wrapped(Scalar),
    Decimal(i32),
    Date,
    Time,
    Timestamp,
}

/// A message: its fields in the schema's order, and by which numbers they come.
#[derive(Debug)]
pub(super) struct Message {
    members: Vec<Member>,
    /// The places of fields with small numbers, which nearly all are, and of the others.
    near: Vec<Option<Place>>,
    far: HashMap<u32, Place>,
}

/// The place of a field in the schema's order, and in a oneof.
type Place = (usize, usize);

/// A field of a struct, where it comes from a field of a message.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) number: u32,
    /// Whether the schema allows null.
    pub(super) optional: bool,
    /// Whether nothing is told from zero.
    pub(super) presence: bool,
    pub(super) shape: Shape,
}

#[derive(Debug)]
pub(super) enum Shape {
    One(Step),
    Many(Step),
    /// A map: key and value.
    Map(Message),
    /// The members of a oneof.
    Union(Vec<Member>),
}

/// What a message holds of one field: the field's place, its place in a oneof, its value.
type Found<'a> = (usize, usize, Raw<'a>);

impl Decoder {
    pub(super) fn new(root: Step) -> Self {
        Self(root)
    }

    /// The datum under Connect's schema.
    pub(in crate::registered) fn decode(&self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::with_capacity(data.len());
        self.0.read(Raw::Bytes(data), &mut out)?;
        Ok(out)
    }
}

impl Message {
    pub(super) fn new(members: Vec<Member>) -> Self {
        let mut far = HashMap::new();
        for (place, member) in members.iter().enumerate() {
            match &member.shape {
                Shape::Union(inner) => {
                    far.extend(inner.iter().enumerate().map(|(inner, member)| (member.number, (place, inner))));
                }
                _ => drop(far.insert(member.number, (place, 0))),
            }
        }
        let near = (0..NEAR).map(|number| far.remove(&number)).collect();
        Self { members, near, far }
    }

    /// What a message holds, those of one field together and in their order.
    fn found<'a>(&self, bytes: &'a [u8]) -> Result<Vec<Found<'a>>, Fault> {
        let mut found: Vec<Found<'_>> = Vec::with_capacity(self.members.len());
        let mut wire = Wire(bytes);
        while !wire.is_at_end() {
            let (number, raw) = wire.field()?;
            let place = match self.near.get(number as usize) {
                Some(place) => *place,
                None => self.far.get(&number).copied(),
            };
            let Some((place, inner)) = place else { continue };
            if self.members.get(place).is_some_and(|member| member.takes(inner, raw)) {
                found.push((place, inner, raw));
            }
        }
        found.sort_by_key(|(place, ..)| *place);
        Ok(found)
    }

    /// Appends the fields in the schema's order, and says where the first one ends.
    fn read(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
        let found = self.found(bytes)?;
        let mut rest = found.as_slice();
        let mut first = out.len();
        for (place, member) in self.members.iter().enumerate() {
            let of = rest.partition_point(|(found, ..)| *found == place);
            let (of, others) = rest.split_at_checked(of).unwrap_or((rest, &[]));
            rest = others;
            member.read(of, out)?;
            if place == 0 {
                first = out.len();
            }
        }
        if out.len() > BYTES_MAX {
            return Err(Fault::datum("a message comes to more than anybody can take"));
        }
        Ok(first)
    }
}

impl Member {
    /// Whether a value has the form that the field has.
    fn takes(&self, inner: usize, raw: Raw<'_>) -> bool {
        match &self.shape {
            Shape::One(step) => step.takes(raw),
            Shape::Many(step) => step.takes(raw) || matches!((step, raw), (Step::Scalar(_), Raw::Bytes(_))),
            Shape::Map(_) => matches!(raw, Raw::Bytes(_)),
            Shape::Union(members) => members.get(inner).is_some_and(|member| member.takes(0, raw)),
        }
    }

    fn read(&self, found: &[Found<'_>], out: &mut Vec<u8>) -> Result<(), Fault> {
        let single = matches!(self.shape, Shape::One(_) | Shape::Union(_));
        let absent = found.is_empty() && single && (self.presence || matches!(self.shape, Shape::Union(_)));
        if self.optional {
            write_long(out, i64::from(!absent));
        } else if absent {
            return Err(Fault::datum(format!("field {}, which is required, is missing", self.number)));
        }
        if absent {
            return Ok(());
        }
        match &self.shape {
            Shape::One(step) => step.read_last(found, out),
            Shape::Many(step) => many(step, found, out),
            Shape::Map(entry) => map(entry, found, out),
            Shape::Union(members) => {
                let set = found.last().map(|(_, inner, _)| *inner);
                // What was set before another one was is gone.
                let since = found.iter().rposition(|(_, inner, _)| Some(*inner) != set).map_or(0, |before| before + 1);
                let found = found.get(since..).unwrap_or_default();
                for (inner, member) in members.iter().enumerate() {
                    member.read(if Some(inner) == set { found } else { &[] }, out)?;
                }
                Ok(())
            }
        }
    }
}

fn many(step: &Step, found: &[Found<'_>], out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    let mut count = 0i64;
    let mut items = Vec::new();
    for (.., raw) in found {
        match (step, *raw) {
            (Step::Scalar(scalar), Raw::Bytes(packed)) if !scalar.is_delimited() => {
                let mut wire = Wire(packed);
                while !wire.is_at_end() {
                    write_long(&mut items, 1);
                    scalar.read(scalar.unpacked(&mut wire)?, &mut items)?;
                    count += 1;
                }
            }
            (_, raw) => {
                write_long(&mut items, 1);
                step.read(raw, &mut items)?;
                count += 1;
            }
        }
        if items.len() + start > BYTES_MAX {
            return Err(Fault::datum("a message comes to more than anybody can take"));
        }
    }
    blocks(count, &items, out);
    Ok(())
}

/// One block of items, where there are any, and the end.
fn blocks(count: i64, items: &[u8], out: &mut Vec<u8>) {
    if count > 0 {
        write_long(out, count);
        out.extend_from_slice(items);
    }
    write_long(out, 0);
}

fn map(entry: &Message, found: &[Found<'_>], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut data = Vec::new();
    // Where each entry begins, where its key ends, and where it ends itself.
    let mut entries = Vec::with_capacity(found.len());
    for (.., raw) in found {
        let Raw::Bytes(bytes) = raw else { continue };
        let start = data.len();
        let key = entry.read(bytes, &mut data)?;
        entries.push((start, key, data.len()));
    }
    // The last of several entries with the same key counts.
    let mut seen = HashSet::new();
    let last = |(start, key, _): &&(usize, usize, usize)| seen.insert(data.get(*start..*key));
    let mut kept: Vec<_> = entries.iter().rev().filter(last).collect();
    kept.reverse();
    let kept: Vec<&[u8]> = kept.into_iter().filter_map(|(start, _, end)| data.get(*start..*end)).collect();
    blocks(kept.len() as i64, &kept.concat(), out);
    Ok(())
}

impl Step {
    fn takes(&self, raw: Raw<'_>) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.takes(raw),
            Self::Message(_) => matches!(raw, Raw::Bytes(_) | Raw::Group(_)),
            _ => matches!(raw, Raw::Bytes(_)),
        }
    }

    /// A field that may be there several times: the last of scalars counts, messages are taken together.
    fn read_last(&self, found: &[Found<'_>], out: &mut Vec<u8>) -> Result<(), Fault> {
        match (self, found) {
            (Self::Scalar(scalar), []) => scalar.zero(out),
            (_, []) => self.read(Raw::Bytes(&[]), out),
            (Self::Scalar(scalar), [.., (.., raw)]) => scalar.read(*raw, out),
            (_, [(.., raw)]) => self.read(*raw, out),
            (_, several) => {
                let bytes = several.iter().map(|(.., raw)| match raw {
                    Raw::Bytes(bytes) | Raw::Group(bytes) => *bytes,
                    _ => &[],
                });
                self.read(Raw::Bytes(&bytes.collect::<Vec<_>>().concat()), out)
            }
        }
    }

    fn read(&self, raw: Raw<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if let Self::Scalar(scalar) = self {
            return scalar.read(raw, out);
        }
        let (Raw::Bytes(bytes) | Raw::Group(bytes)) = raw else { return Err(unlike()) };
        match self {
            Self::Scalar(_) => {}
            Self::Message(message) => drop(message.read(bytes, out)?),
            Self::Wrapped(scalar) => match last(bytes, 1, |raw| scalar.takes(raw))? {
                Some(raw) => scalar.read(raw, out)?,
                None => scalar.zero(out)?,
            },
            Self::Decimal(scale) => decimal(bytes, *scale, out)?,
            Self::Date => {
                let [year, month, day] = [1, 2, 3].map(|field| number(bytes, field));
                let (year, month, day) = (year?, month?, day?);
                // The bounds keep what follows from running over.
                let days = days_before(year.clamp(0, 1 << 20), month.clamp(0, 13), day.clamp(0, 32));
                let date = Moment::at(days * DAY_MS);
                if (date.year, date.month, date.day) != (year, month, day) || year < 1 {
                    return Err(Fault::datum("a date is none"));
                }
                write_long(out, days);
            }
            Self::Time => {
                let [hours, minutes, seconds, nanos] = [1, 2, 3, 4].map(|field| number(bytes, field));
                let (hours, minutes, seconds, nanos) = (hours?, minutes?, seconds?, nanos?);
                let within = (0..24).contains(&hours)
                    && (0..60).contains(&minutes)
                    && (0..60).contains(&seconds)
                    && (0..1_000_000_000).contains(&nanos);
                if !within {
                    return Err(Fault::datum("a time of day is none"));
                }
                write_long(out, ((hours * 60 + minutes) * 60 + seconds) * 1000 + nanos / 1_000_000);
            }
            Self::Timestamp => {
                let (seconds, nanos) = (number(bytes, 1)?, number(bytes, 2)?);
                let ms = seconds.checked_mul(1000).and_then(|ms| ms.checked_add(nanos.div_euclid(1_000_000)));
                write_long(out, ms.ok_or_else(|| Fault::datum("a timestamp is none"))?);
            }
        }
        Ok(())
    }
}

/// The last value of a field of a message.
fn last<'a>(bytes: &'a [u8], wanted: u32, takes: impl Fn(Raw<'a>) -> bool) -> Result<Option<Raw<'a>>, Fault> {
    let mut last = None;
    let mut wire = Wire(bytes);
    while !wire.is_at_end() {
        let (number, raw) = wire.field()?;
        if number == wanted && takes(raw) {
            last = Some(raw);
        }
    }
    Ok(last)
}

fn number(bytes: &[u8], field: u32) -> Result<i64, Fault> {
    Ok(match last(bytes, field, |raw| matches!(raw, Raw::Varint(_)))? {
        Some(Raw::Varint(number)) => number.cast_signed(),
        _ => 0,
    })
}

fn decimal(bytes: &[u8], scale: i32, out: &mut Vec<u8>) -> Result<(), Fault> {
    let unscaled = match last(bytes, 1, |raw| matches!(raw, Raw::Bytes(_)))? {
        Some(Raw::Bytes(unscaled)) if !unscaled.is_empty() => unscaled,
        _ => &[0],
    };
    let own = number(bytes, 3)? as i32;
    if own == scale {
        write_bytes(out, unscaled);
        return Ok(());
    }
    let written = Some(own).filter(|own| (-SCALE_MAX..=SCALE_MAX).contains(own));
    let rescaled = written.and_then(|own| decimal_unscaled(&decimal_text(unscaled, own), scale));
    let rescaled = rescaled.ok_or_else(|| {
        Fault::datum(format!(
            "a decimal has other places than the {scale} that its schema notes under (confluent.field_meta)"
        ))
    })?;
    write_bytes(out, &rescaled);
    Ok(())
}
