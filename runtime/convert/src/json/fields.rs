//! The fields of a struct on their way to JSON, and what neighbouring records have in common.
//!
//! Records repeat much of the one before: the source block of a change event, the times that a whole batch is stamped with.
//! Which fields do so is looked at now and then. A stretch of them is then compared as a whole, and where its bytes are those
//! of the record before, so is its JSON: a datum holds no more than its bytes.

use towpath_model::datum::Reader;

use super::transcode::Node;
use crate::fault::Fault;

/// Of so many structs …
const PERIOD: u32 = 4096;
/// … the first ones are looked at field by field.
const STUDIED: u32 = 32;
/// A field repeats when it is as before in so many of these.
const REPEATS_MIN: u32 = 28;
/// Larger fields are not worth keeping.
const FIELD_BYTES_MAX: usize = 256;

/// The fields of a struct.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Vec<Field>,
    /// Neighbouring fields that all repeat, or all do not.
    stretches: Vec<Stretch>,
    written: u32,
}

#[derive(Debug)]
struct Field {
    /// `{"name":` or `,"name":`.
    prefix: Vec<u8>,
    node: Node,
    /// While fields are looked at: its datum in the struct before, and how often it was the same.
    last: Vec<u8>,
    same: u32,
}

#[derive(Debug)]
struct Stretch {
    /// The field behind it.
    end: usize,
    repeats: bool,
    /// What it was in the struct before, where it repeats.
    datum: Vec<u8>,
    json: Vec<u8>,
}

impl Fields {
    /// Fields from what stands ahead of each and how it is written.
    pub(super) fn new(fields: impl Iterator<Item = (Vec<u8>, Node)>) -> Self {
        let field = |(prefix, node)| Field { prefix, node, last: Vec::new(), same: 0 };
        Self { fields: fields.map(field).collect(), stretches: Vec::new(), written: 0 }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Writes all fields of a struct.
    #[inline]
    pub(super) fn write(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let turn = self.written % PERIOD;
        self.written = self.written.wrapping_add(1);
        if turn < STUDIED {
            return self.study(turn, reader, out);
        }
        let mut first = 0;
        for stretch in &mut self.stretches {
            let fields = self.fields.get_mut(first..stretch.end).unwrap_or_default();
            first = stretch.end;
            stretch.write(fields, reader, out)?;
        }
        Ok(())
    }

    fn study(&mut self, turn: u32, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        for field in &mut self.fields {
            let position = reader.position();
            field.write(reader, out)?;
            let datum = reader.since(position);
            field.same = match turn {
                0 => 0,
                _ => field.same + u32::from(field.last == datum && datum.len() <= FIELD_BYTES_MAX),
            };
            field.last.clear();
            field.last.extend_from_slice(datum.get(..FIELD_BYTES_MAX).unwrap_or(datum));
        }
        if turn + 1 == STUDIED {
            self.group();
        }
        Ok(())
    }

    fn group(&mut self) {
        self.stretches.clear();
        for (index, field) in self.fields.iter().enumerate() {
            let repeats = field.same >= REPEATS_MIN;
            match self.stretches.last_mut() {
                Some(last) if last.repeats == repeats => last.end = index + 1,
                _ => self.stretches.push(Stretch { end: index + 1, repeats, datum: Vec::new(), json: Vec::new() }),
            }
        }
    }
}

impl Field {
    #[inline]
    fn write(&mut self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend_from_slice(&self.prefix);
        self.node.write(reader, out)
    }
}

impl Stretch {
    #[inline]
    fn write(&mut self, fields: &mut [Field], reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if !self.repeats {
            return fields.iter_mut().try_for_each(|field| field.write(reader, out));
        }
        // A datum of no bytes would match anything; nothing is kept of it.
        if !self.datum.is_empty() && reader.pass(&self.datum) {
            out.extend_from_slice(&self.json);
            return Ok(());
        }
        let (position, length) = (reader.position(), out.len());
        fields.iter_mut().try_for_each(|field| field.write(reader, out))?;
        self.datum.clear();
        self.datum.extend_from_slice(reader.since(position));
        self.json.clear();
        self.json.extend_from_slice(out.get(length..).unwrap_or_default());
        Ok(())
    }
}
