//! A value as a line.

use towpath_model::Batch;

/// The values of all records, each with a line feed; one that is null is the word `null`, as Kafka's connector prints it.
pub fn append(records: &Batch, out: &mut Vec<u8>) {
    for record in records.records() {
        out.extend_from_slice(record.value.bytes.unwrap_or(b"null"));
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use towpath_model::{BatchBuilder, Form, Run};

    use super::*;

    #[test]
    fn a_value_is_a_line_and_none_is_the_word_for_it() {
        let mut builder = BatchBuilder::default();
        let topic = builder.topic("t");
        builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
        for (offset, value) in [Some(b"one".as_slice()), None, Some(b"")].into_iter().enumerate() {
            builder.key(Some(b"left out"));
            builder.value(value);
            builder.end(Some(0), Some(offset as i64));
        }
        let mut out = Vec::new();
        append(&builder.build(), &mut out);
        assert_eq!(out, b"one\nnull\n\n");
    }
}
