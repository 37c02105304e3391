//! Cutting and joining batches, all by columns: payloads are copied only where they must become neighbours.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use towpath_model::{Batch, BatchBuilder, Columns, CommonHeader, Form, Run};

/// A stretch of a batch; the payloads stay where they are.
pub(crate) fn slice(batch: &Batch, range: Range<usize>) -> Batch {
    let columns = batch.columns();
    let range = range.start.min(batch.len())..range.end.min(batch.len());
    if range == (0..batch.len()) {
        return batch.clone();
    }
    let headers_before =
        |record: usize| -> usize { columns.header_counts.iter().take(record).map(|count| *count as usize).sum() };
    let headers = headers_before(range.start)..headers_before(range.end);
    let bytes_of =
        |lengths: &[i32]| -> usize { lengths.iter().map(|length| usize::try_from(*length).unwrap_or(0)).sum() };
    let arena_at = |records: usize, headers: usize| {
        bytes_of(&columns.key_lengths[..records])
            + bytes_of(&columns.value_lengths[..records])
            + bytes_of(&columns.header_lengths[..headers])
    };
    let arena = arena_at(range.start, headers.start)..arena_at(range.end, headers.end);
    let per_record = |list: &[i64]| list.get(range.clone()).map(<[i64]>::to_vec).unwrap_or_default();
    let cut = Columns {
        topics: columns.topics.clone(),
        schemas: columns.schemas.clone(),
        header_names: columns.header_names.clone(),
        common_headers: columns.common_headers.clone(),
        runs: cut_runs(&columns.runs, &range),
        arena: columns.arena.slice(arena),
        key_lengths: columns.key_lengths[range.clone()].to_vec(),
        value_lengths: columns.value_lengths[range.clone()].to_vec(),
        timestamps: per_record(&columns.timestamps),
        offsets: per_record(&columns.offsets),
        header_counts: columns.header_counts.get(range.clone()).map(<[u32]>::to_vec).unwrap_or_default(),
        header_keys: columns.header_keys[headers.clone()].to_vec(),
        header_forms: columns.header_forms[headers.clone()].to_vec(),
        header_lengths: columns.header_lengths[headers].to_vec(),
    };
    Batch::new(cut).expect("a stretch of a sound batch is sound")
}

fn cut_runs(runs: &[Run], range: &Range<usize>) -> Vec<Run> {
    let mut at = 0;
    let mut cut = Vec::new();
    for run in runs {
        let end = at + run.records as usize;
        let (from, to) = (at.max(range.start), end.min(range.end));
        if from < to {
            cut.push(Run { records: u32::try_from(to - from).unwrap_or(u32::MAX), ..*run });
        }
        at = end;
    }
    cut
}

/// The records whose indexes are wanted, which must be sorted.
pub(crate) fn select(batch: &Batch, wanted: &[u32]) -> Batch {
    if wanted.len() == batch.len() {
        return batch.clone();
    }
    let mut builder = BatchBuilder::default();
    batch.columns().common_headers.iter().cloned().for_each(|mut header| {
        header.form = builder.import_form(batch, header.form);
        builder.common_header(header);
    });
    let mut wanted = wanted.iter().copied().peekable();
    for record in batch.records() {
        if wanted.next_if(|index| *index as usize == record.index).is_some() {
            let run = builder.import_run(&record);
            builder.run(run);
            builder.copy(&record);
        }
    }
    builder.build()
}

/// The records with this header, but for those that have one of its name.
pub(crate) fn with_header(batch: &Batch, header: &CommonHeader) -> Batch {
    let mut builder = BatchBuilder::default();
    batch.columns().common_headers.iter().cloned().for_each(|mut common| {
        common.form = builder.import_form(batch, common.form);
        builder.common_header(common);
    });
    for record in batch.records() {
        let run = builder.import_run(&record);
        builder.run(run);
        builder.key(record.key.bytes);
        builder.value(record.value.bytes);
        for (name, payload) in record.own_headers() {
            let form = builder.import_form(batch, payload.form);
            builder.header(name, form, payload.bytes);
        }
        if !record.own_headers().any(|(name, _)| *name == header.name) {
            builder.header(&header.name, header.form, header.value.as_deref());
        }
        builder.end(record.timestamp, record.offset);
    }
    builder.build()
}

/// Batches one behind the other as one. They carry no common headers and agree on having timestamps and offsets, as
/// everything does that was fetched from the log.
pub(crate) fn join(mut batches: Vec<Batch>) -> Batch {
    batches.retain(|batch| !batch.is_empty());
    if batches.len() <= 1 {
        return batches.pop().unwrap_or_default();
    }
    let mut joined = Columns::default();
    let mut arena = BytesMut::with_capacity(batches.iter().map(Batch::payload_bytes).sum());
    let with_headers = batches.iter().any(|batch| !batch.columns().header_counts.is_empty());
    let mut topics = Dictionary::default();
    let mut schemas = Dictionary::default();
    let mut names = Dictionary::default();
    for batch in &batches {
        let columns = batch.columns();
        let topic_at = topics.enter(&columns.topics);
        let schema_at = schemas.enter(&columns.schemas);
        let name_at = names.enter(&columns.header_names);
        let form = |form: Form| Form { schema: form.schema.map(|index| schema_at[index as usize]), ..form };
        joined.runs.extend(columns.runs.iter().map(|run| Run {
            topic: topic_at[run.topic as usize],
            origin: topic_at[run.origin as usize],
            key: form(run.key),
            value: form(run.value),
            ..*run
        }));
        arena.extend_from_slice(&columns.arena);
        joined.key_lengths.extend_from_slice(&columns.key_lengths);
        joined.value_lengths.extend_from_slice(&columns.value_lengths);
        joined.timestamps.extend_from_slice(&columns.timestamps);
        joined.offsets.extend_from_slice(&columns.offsets);
        if with_headers && columns.header_counts.is_empty() {
            joined.header_counts.resize(joined.header_counts.len() + batch.len(), 0);
        }
        joined.header_counts.extend_from_slice(&columns.header_counts);
        joined.header_keys.extend(columns.header_keys.iter().map(|key| name_at[*key as usize]));
        joined.header_forms.extend(columns.header_forms.iter().copied().map(form));
        joined.header_lengths.extend_from_slice(&columns.header_lengths);
    }
    joined.topics = topics.entries;
    joined.schemas = schemas.entries;
    joined.header_names = names.entries;
    joined.arena = arena.freeze();
    Batch::new(joined).expect("sound batches that agree make a sound batch")
}

#[derive(Default)]
struct Dictionary {
    entries: Vec<Arc<str>>,
    known: HashMap<Arc<str>, u32>,
}

impl Dictionary {
    fn enter(&mut self, entries: &[Arc<str>]) -> Vec<u32> {
        let mut places = Vec::with_capacity(entries.len());
        for entry in entries {
            let next = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
            let place = *self.known.entry(entry.clone()).or_insert(next);
            if place == next {
                self.entries.push(entry.clone());
            }
            places.push(place);
        }
        places
    }
}

#[cfg(test)]
mod tests;
