//! Batches on their way over the boundary, seen from the host. What comes from a guest is checked here, and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use towpath_model::{Batch, Columns, CommonHeader, Encoding, Form, Run};

use crate::bindings::imports::towpath::connect::records as wit;
use crate::config::Limits;

/// A batch as a guest gave it.
///
/// # Errors
/// When its columns contradict themselves or it carries more than the limits allow; the text says how.
pub(crate) fn batch_from_wit(batch: wit::Batch, limits: &Limits) -> Result<Batch, String> {
    let (records, records_max) = (batch.key_lengths.len(), limits.batch_records_max);
    if records > records_max {
        return Err(format!("it carries {records} records, {records_max} are allowed"));
    }
    let (bytes, bytes_max) = (weight(&batch), limits.batch_bytes_max);
    if bytes > bytes_max {
        return Err(format!("it carries {bytes} bytes, {bytes_max} are allowed"));
    }
    let common_header = |header: wit::CommonHeader| CommonHeader {
        name: header.name.into(),
        form: form_from_wit(header.form),
        value: header.value.map(Bytes::from),
    };
    let run = |run: wit::Run| Run {
        records: run.records,
        topic: run.topic,
        origin: run.origin,
        partition: run.partition,
        key: form_from_wit(run.key),
        value: form_from_wit(run.value),
    };
    let texts = |texts: Vec<String>| texts.into_iter().map(Into::into).collect::<Vec<Arc<str>>>();
    let columns = Columns {
        topics: texts(batch.topics),
        schemas: texts(batch.schemas),
        header_names: texts(batch.header_names),
        common_headers: batch.common_headers.into_iter().map(common_header).collect(),
        runs: batch.runs.into_iter().map(run).collect(),
        arena: batch.arena.into(),
        key_lengths: batch.key_lengths,
        value_lengths: batch.value_lengths,
        timestamps: batch.timestamps,
        offsets: batch.offsets,
        header_counts: batch.header_counts,
        header_keys: batch.header_keys,
        header_forms: batch.header_forms.into_iter().map(form_from_wit).collect(),
        header_lengths: batch.header_lengths,
    };
    Batch::new(columns).map_err(|malformed| malformed.to_string())
}

/// What a batch takes of the host's memory, about.
fn weight(batch: &wit::Batch) -> usize {
    let texts = |texts: &[String]| texts.iter().map(|text| text.len() + size_of::<Arc<str>>()).sum::<usize>();
    let common = |header: &wit::CommonHeader| {
        size_of::<CommonHeader>() + header.name.len() + header.value.as_ref().map_or(0, Vec::len)
    };
    let numbers = size_of_val(batch.key_lengths.as_slice())
        + size_of_val(batch.value_lengths.as_slice())
        + size_of_val(batch.timestamps.as_slice())
        + size_of_val(batch.offsets.as_slice())
        + size_of_val(batch.header_counts.as_slice())
        + size_of_val(batch.header_keys.as_slice())
        + size_of_val(batch.header_lengths.as_slice());
    let structures = batch.header_forms.len() * size_of::<Form>() + batch.runs.len() * size_of::<Run>();
    let dictionaries = texts(&batch.topics) + texts(&batch.schemas) + texts(&batch.header_names);
    let common_headers = batch.common_headers.iter().map(common).sum::<usize>();
    batch.arena.len() + numbers + structures + dictionaries + common_headers
}

/// A batch as a guest takes it.
pub(crate) fn batch_to_wit(batch: &Batch) -> wit::Batch {
    let columns = batch.columns();
    let common_header = |header: &CommonHeader| wit::CommonHeader {
        name: header.name.to_string(),
        form: form_to_wit(&header.form),
        value: header.value.as_ref().map(|value| value.to_vec()),
    };
    let run = |run: &Run| wit::Run {
        records: run.records,
        topic: run.topic,
        origin: run.origin,
        partition: run.partition,
        key: form_to_wit(&run.key),
        value: form_to_wit(&run.value),
    };
    let texts = |texts: &[Arc<str>]| texts.iter().map(ToString::to_string).collect();
    wit::Batch {
        topics: texts(&columns.topics),
        schemas: texts(&columns.schemas),
        header_names: texts(&columns.header_names),
        common_headers: columns.common_headers.iter().map(common_header).collect(),
        runs: columns.runs.iter().map(run).collect(),
        arena: columns.arena.to_vec(),
        key_lengths: columns.key_lengths.clone(),
        value_lengths: columns.value_lengths.clone(),
        timestamps: columns.timestamps.clone(),
        offsets: columns.offsets.clone(),
        header_counts: columns.header_counts.clone(),
        header_keys: columns.header_keys.clone(),
        header_forms: columns.header_forms.iter().map(form_to_wit).collect(),
        header_lengths: columns.header_lengths.clone(),
    }
}

fn form_from_wit(form: wit::Form) -> Form {
    Form { encoding: encoding_from_wit(form.encoding), schema: form.schema }
}

fn form_to_wit(form: &Form) -> wit::Form {
    let encoding = match form.encoding {
        Encoding::Bytes => wit::Encoding::Bytes,
        Encoding::Json => wit::Encoding::Json,
        Encoding::Connect => wit::Encoding::Connect,
    };
    wit::Form { encoding, schema: form.schema }
}

/// An encoding as a guest named it.
pub(crate) fn encoding_from_wit(encoding: wit::Encoding) -> Encoding {
    match encoding {
        wit::Encoding::Bytes => Encoding::Bytes,
        wit::Encoding::Json => Encoding::Json,
        wit::Encoding::Connect => Encoding::Connect,
    }
}
