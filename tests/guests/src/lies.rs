//! Answers of a poll that contradict themselves, or say more than the host can take. The SDK cannot express most of them, so
//! they are made by spoiling what it has put together.
#![allow(unsafe_code)]

use towpath_sdk::bindings::imports::towpath::connect::records::{Encoding, Form};
use towpath_sdk::bindings::source::exports::towpath::connect::source::{Checkpoint, Polled};

const MIB: usize = 1 << 20;

/// Spoils the answer as the mode says.
pub(crate) fn spoil(polled: &mut Polled, mode: &str) {
    let records = &mut polled.records;
    match mode {
        "lie-length-beyond" => records.value_lengths = vec![i32::MAX],
        "lie-length-negative" => records.value_lengths = vec![-2],
        "lie-length-missing" => records.value_lengths = Vec::new(),
        "lie-run-count" => records.runs[0].records = u32::MAX,
        "lie-runs-overflow" => {
            let mut run = records.runs[0];
            run.records = u32::MAX;
            records.runs = vec![run; 70_000];
        }
        "lie-topic" => records.runs[0].topic = 77,
        "lie-schema" => records.runs[0].value = Form { encoding: Encoding::Connect, schema: Some(5) },
        "lie-header-count" => records.header_counts = vec![u32::MAX],
        "lie-header-name" => {
            records.header_counts = vec![1];
            records.header_keys = vec![9];
            records.header_forms = vec![Form { encoding: Encoding::Bytes, schema: None }];
            records.header_lengths = vec![-1];
        }
        "lie-ends" => polled.transaction_ends = vec![7],
        "lie-partition" => records.runs[0].partition = -7,
        "lie-partition-far" => records.runs[0].partition = 1_000_000,
        "lie-million-headers" => {
            let many = 1_000_000;
            records.header_names = vec!["h".into()];
            records.header_counts = vec![many];
            records.header_keys = vec![0; many as usize];
            records.header_forms = vec![Form { encoding: Encoding::Bytes, schema: None }; many as usize];
            records.header_lengths = vec![-1; many as usize];
        }
        "lie-million-records" => {
            let many = 2_000_000;
            records.arena = Vec::new();
            records.key_lengths = vec![-1; many];
            records.value_lengths = vec![-1; many];
            records.runs[0].records = many as u32;
        }
        "lie-not-utf8" => {
            // SAFETY: of the component alone, and it is the host that must not be harmed by it.
            records.topics = vec![unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) }];
        }
        "lie-beyond-memory" => {
            // SAFETY: as above; the host refuses the list before anything frees it.
            records.arena = unsafe { Vec::from_raw_parts(64 as *mut u8, i32::MAX as usize, i32::MAX as usize) };
        }
        // The same megabyte, named over and over: little in the component, more than any machine has outside of it.
        "lie-same-bytes" => {
            let text = "s".repeat(MIB).leak();
            // SAFETY: as above.
            let again = || unsafe { String::from_raw_parts(text.as_ptr().cast_mut(), MIB, MIB) };
            records.schemas = (0..100_000).map(|_| again()).collect();
        }
        "lie-internal-topic" => records.topics = vec!["connect-configs".into()],
        "lie-odd-topic" => records.topics = vec!["../../escaped".into()],
        "lie-topic-flood" => {
            let run = records.runs[0];
            let many: u32 = 20_000;
            records.topics = (0..many).map(|topic| format!("flood-{topic}")).collect();
            records.arena = Vec::new();
            records.key_lengths = vec![-1; many as usize];
            records.value_lengths = vec![-1; many as usize];
            records.runs = (0..many)
                .map(|topic| {
                    let mut run = run;
                    (run.records, run.topic, run.origin) = (1, topic, topic);
                    run
                })
                .collect();
        }
        "lie-position-no-json" => polled.checkpoints = vec![position("no JSON")],
        "lie-position-breaks-out" => polled.checkpoints = vec![position(r#"{"a":1}],["another",{"b":2}"#)],
        "lie-position-huge" => polled.checkpoints = vec![position(&format!(r#"{{"a":"{}"}}"#, "p".repeat(MIB)))],
        "lie-position-flood" => {
            polled.checkpoints = (0..100_000).map(|number| position(&format!(r#"{{"p":{number}}}"#))).collect();
        }
        _ => {}
    }
}

fn position(partition: &str) -> Checkpoint {
    Checkpoint { partition: partition.into(), offset: Some("{}".into()) }
}
