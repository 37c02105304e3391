//! Data under an Avro schema become data under Connect's: one walk, compiled once for each schema.

use towpath_model::datum::{Reader, write_bytes, write_long};

use super::blocks;
use crate::fault::Fault;

/// Reads data of one Avro schema.
#[derive(Debug)]
pub(in crate::registered) struct Decoder(pub(super) Step);

/// What is done with one value.
#[derive(Debug)]
pub(super) enum Step {
    /// A number of variable length.
    Number,
    Float,
    Double,
    Boolean,
    String,
    Bytes,
    Fixed(usize),
    Symbol(Vec<std::sync::Arc<str>>),
    Array(Box<Step>),
    Map(Box<Step>),
    Record(Vec<Step>),
    /// Null or a value, with the branch of null on either side.
    Optional {
        null: i64,
        null_out: i64,
        value: Box<Step>,
    },
    /// A union as a struct with a field for each branch but null.
    Union {
        branches: Vec<Option<Step>>,
        null_out: Option<i64>,
    },
    /// A union of one type.
    Only(Box<Step>),
}

impl Decoder {
    /// The datum under Connect's schema.
    pub(in crate::registered) fn decode(&self, data: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut reader = Reader::new(data);
        let mut out = Vec::with_capacity(data.len());
        self.0.step(&mut reader, &mut out)?;
        if reader.is_at_end() { Ok(out) } else { Err(Fault::datum("the data go on after their end")) }
    }
}

impl Step {
    fn step(&self, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Number => write_long(out, reader.long()?),
            Self::Float => out.extend_from_slice(&reader.float()?.to_le_bytes()),
            Self::Double => out.extend_from_slice(&reader.double()?.to_le_bytes()),
            Self::Boolean => out.push(u8::from(reader.boolean()?)),
            Self::String => write_bytes(out, reader.string()?.as_bytes()),
            Self::Bytes => write_bytes(out, reader.bytes()?),
            Self::Fixed(size) => write_bytes(out, reader.exactly(*size)?),
            Self::Symbol(symbols) => {
                let symbol = usize::try_from(reader.long()?).ok().and_then(|place| symbols.get(place));
                write_bytes(out, symbol.ok_or_else(|| Fault::datum("an enum has no such symbol"))?.as_bytes());
            }
            Self::Array(items) => copy_blocks(reader, out, |reader, out| items.step(reader, out))?,
            Self::Map(values) => copy_blocks(reader, out, |reader, out| {
                write_bytes(out, reader.string()?.as_bytes());
                values.step(reader, out)
            })?,
            Self::Record(fields) => fields.iter().try_for_each(|field| field.step(reader, out))?,
            Self::Optional { null, null_out, value } => match reader.long()? {
                branch if branch == *null => write_long(out, *null_out),
                0 | 1 => {
                    write_long(out, 1 - null_out);
                    value.step(reader, out)?;
                }
                _ => return Err(no_branch()),
            },
            Self::Union { branches, null_out } => {
                let branch = usize::try_from(reader.long()?).map_err(|_| no_branch())?;
                let taken = branches.get(branch).ok_or_else(no_branch)?;
                if let Some(null_out) = null_out {
                    write_long(out, if taken.is_none() { *null_out } else { 1 - null_out });
                }
                if let Some(taken) = taken {
                    for (place, other) in branches.iter().enumerate().filter(|(_, other)| other.is_some()) {
                        write_long(out, i64::from(place == branch));
                        if place == branch && other.is_some() {
                            taken.step(reader, out)?;
                        }
                    }
                }
            }
            Self::Only(value) => match reader.long()? {
                0 => value.step(reader, out)?,
                _ => return Err(no_branch()),
            },
        }
        Ok(())
    }
}

fn no_branch() -> Fault {
    Fault::datum("a union has no such branch")
}

fn copy_blocks<'a>(
    reader: &mut Reader<'a>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(&mut Reader<'a>, &mut Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    // Blocks may come in several pieces and with sizes; one piece without a size goes out.
    let mut items = Vec::new();
    let mut count = 0i64;
    blocks(reader, |reader| {
        count += 1;
        each(reader, &mut items)
    })?;
    if count > 0 {
        write_long(out, count);
        out.extend_from_slice(&items);
    }
    write_long(out, 0);
    Ok(())
}
