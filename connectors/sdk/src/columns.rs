//! Batches on their way over the boundary: the generated record of columns on one side, the model's on the other.
//!
//! The arena and the columns of scalars move without a copy where the layouts agree; only dictionaries and runs, which are
//! few, are rebuilt.

use bytes::Bytes;
use towpath_model::{Batch, Columns, CommonHeader, Encoding, Form, Malformed, Run};

use crate::bindings::imports::towpath::connect::records as wit;

/// A batch as it came from the host.
///
/// # Errors
/// When its columns contradict themselves.
pub(crate) fn batch_from_wit(batch: wit::Batch) -> Result<Batch, Malformed> {
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
    Batch::new(Columns {
        topics: batch.topics.into_iter().map(Into::into).collect(),
        schemas: batch.schemas.into_iter().map(Into::into).collect(),
        header_names: batch.header_names.into_iter().map(Into::into).collect(),
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
    })
}

/// A batch as the host takes it.
pub(crate) fn batch_to_wit(batch: Batch) -> wit::Batch {
    let columns = batch.into_columns();
    let common_header = |header: CommonHeader| wit::CommonHeader {
        name: header.name.as_ref().into(),
        form: form_to_wit(header.form),
        value: header.value.map(Vec::from),
    };
    let run = |run: Run| wit::Run {
        records: run.records,
        topic: run.topic,
        origin: run.origin,
        partition: run.partition,
        key: form_to_wit(run.key),
        value: form_to_wit(run.value),
    };
    wit::Batch {
        topics: columns.topics.iter().map(|topic| topic.as_ref().into()).collect(),
        schemas: columns.schemas.iter().map(|schema| schema.as_ref().into()).collect(),
        header_names: columns.header_names.iter().map(|name| name.as_ref().into()).collect(),
        common_headers: columns.common_headers.into_iter().map(common_header).collect(),
        runs: columns.runs.into_iter().map(run).collect(),
        arena: columns.arena.into(),
        key_lengths: columns.key_lengths,
        value_lengths: columns.value_lengths,
        timestamps: columns.timestamps,
        offsets: columns.offsets,
        header_counts: columns.header_counts,
        header_keys: columns.header_keys,
        header_forms: columns.header_forms.into_iter().map(form_to_wit).collect(),
        header_lengths: columns.header_lengths,
    }
}

fn form_from_wit(form: wit::Form) -> Form {
    Form { encoding: encoding_from_wit(form.encoding), schema: form.schema }
}

fn form_to_wit(form: Form) -> wit::Form {
    wit::Form { encoding: encoding_to_wit(form.encoding), schema: form.schema }
}

fn encoding_from_wit(encoding: wit::Encoding) -> Encoding {
    match encoding {
        wit::Encoding::Bytes => Encoding::Bytes,
        wit::Encoding::Json => Encoding::Json,
        wit::Encoding::Connect => Encoding::Connect,
    }
}

/// An encoding as the host takes it.
pub(crate) fn encoding_to_wit(encoding: Encoding) -> wit::Encoding {
    match encoding {
        Encoding::Bytes => wit::Encoding::Bytes,
        Encoding::Json => wit::Encoding::Json,
        Encoding::Connect => wit::Encoding::Connect,
    }
}

#[cfg(test)]
mod tests {
    use towpath_model::BatchBuilder;

    use super::*;

    #[test]
    fn a_batch_survives_the_way_there_and_back() {
        let mut builder = BatchBuilder::default();
        let topic = builder.topic("orders");
        let schema = builder.schema(r#"{"type":"int32","optional":false}"#);
        builder.common_header(CommonHeader { name: "run".into(), form: Form::BYTES, value: Some("7".into()) });
        let value = Form::connect(schema);
        builder.run(Run { records: 0, topic, origin: topic, partition: 3, key: Form::BYTES, value });
        builder.key(Some(b"k"));
        builder.value(Some(&[2]));
        builder.header("h", Form::JSON, None);
        builder.end(Some(5), Some(9));
        let batch = builder.build();
        let back = batch_from_wit(batch_to_wit(batch.clone())).expect("still sound");
        assert_eq!(format!("{:?}", back.columns()), format!("{:?}", batch.columns()));
    }
}
