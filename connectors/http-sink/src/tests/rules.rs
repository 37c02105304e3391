//! One promise a test.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Config, ConnectorError, Form, ManualClock};

use super::endpoint::{Answer, FakeClient, Pair, batch, position};
use crate::{HttpSink, Settings};

struct Bench {
    sink: HttpSink<FakeClient>,
    endpoint: FakeClient,
    clock: Arc<ManualClock>,
}

fn bench(settings: &[(&str, &str)]) -> Bench {
    let mut config: Config = settings.iter().copied().collect();
    config.set("http.url", "http://hooks/in");
    let endpoint = FakeClient::default();
    let clock = Arc::new(ManualClock::at(784_111_777_000));
    let settings = Settings::parse(&config).expect("settings");
    let mut sink = HttpSink::new(settings, endpoint.clone(), clock.clone(), 10_000);
    sink.assigned(&[position(0)]);
    Bench { sink, endpoint, clock }
}

impl Bench {
    fn put(&mut self, records: &[Pair<'_>]) -> Result<(), ConnectorError> {
        self.sink.put(&batch(Form::JSON, 0, records))
    }

    fn committed(&mut self, handed_over: i64) -> Vec<i64> {
        let flushed = self.sink.flush(&[position(handed_over)]).expect("flushed");
        flushed.offsets.iter().map(|position| position.offset).collect()
    }
}

/// Index, code and retriable of each record error.
fn errors(outcome: Result<(), ConnectorError>) -> Vec<(u32, String, bool)> {
    match outcome {
        Err(ConnectorError::Records(errors)) => {
            errors.into_iter().map(|error| (error.index, error.code, error.retriable)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn error(index: u32, code: &str, retriable: bool) -> (u32, String, bool) {
    (index, code.to_owned(), retriable)
}

const A: Option<&str> = Some("a");
const B: Option<&str> = Some("b");

#[test]
fn one_record_a_request_with_nothing_around_it() {
    let mut bench = bench(&[("header.X-From", "towpath"), ("http.auth.type", "bearer"), ("http.timeout.ms", "1500")]);
    bench.put(&[(A, Some("{\"id\":1}")), (None, Some("2"))]).expect("accepted");
    let request = bench.endpoint.0.borrow().taken[0].clone();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(request.headers, [header("X-From", "towpath"), header("Content-Type", "application/json")]);
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://hooks/in"));
    assert_eq!((request.credential.as_deref(), request.timeout), (Some("bearer"), Duration::from_millis(1500)));
    assert_eq!(bench.endpoint.bodies(), ["{\"id\":1}", "2"]);
    bench.clock.advance(Duration::from_millis(60));
    assert_eq!(bench.sink.next_flush_ms(), Some(40), "what is delivered is soon committed");
    assert_eq!(bench.committed(2), [2]);
    assert!(bench.committed(2).is_empty(), "only progress is reported");
    assert_eq!(bench.sink.next_flush_ms(), None);
}

#[test]
fn batches_are_arrays_or_lines_and_what_fits_into_one_request_goes_as_one() {
    let records: Vec<Pair<'_>> = vec![(A, Some("{\"id\": 1}")), (None, None), (B, Some("[\n2]\n"))];
    let mut array = bench(&[("batch.max.size", "3"), ("behavior.on.null.values", "write")]);
    array.put(&records).expect("accepted");
    assert_eq!(array.endpoint.bodies(), ["[{\"id\": 1},null,[\n2]\n]"]);
    let mut lines = bench(&[("http.batch.mode", "lines"), ("behavior.on.null.values", "write")]);
    lines.put(&records).expect("accepted");
    assert_eq!(lines.endpoint.0.borrow().taken[0].headers[0].1, "application/x-ndjson");
    assert_eq!(lines.endpoint.bodies(), ["{\"id\": 1}\nnull\n[ 2]\n"]);
}

#[test]
fn bytes_are_sent_as_they_are_but_not_into_an_array() {
    let mut single = bench(&[]);
    single.sink.put(&batch(Form::BYTES, 0, &[(None, Some("any\ntext"))])).expect("accepted");
    assert_eq!(single.endpoint.0.borrow().taken[0].headers[0].1, "application/octet-stream");
    assert_eq!(single.endpoint.bodies(), ["any\ntext"]);
    let mut array = bench(&[("http.batch.mode", "array")]);
    let outcome = array.sink.put(&batch(Form::BYTES, 0, &[(None, Some("any")), (None, Some("{}"))]));
    assert_eq!(errors(outcome), [error(0, "http.value", false)]);
    assert_eq!(array.endpoint.bodies(), ["[{}]"]);
    let mut lines = bench(&[("http.batch.mode", "lines")]);
    let outcome = lines.sink.put(&batch(Form::BYTES, 0, &[(None, Some("cpu=1")), (None, Some("a\nb"))]));
    assert_eq!(errors(outcome), [error(1, "http.value", false)]);
    assert_eq!(lines.endpoint.bodies(), ["cpu=1\n"]);
}

#[test]
fn null_values_are_ignored_and_counted_or_refused() {
    let mut ignoring = bench(&[]);
    ignoring.put(&[(A, None), (A, Some("1"))]).expect("accepted");
    assert_eq!((ignoring.endpoint.bodies(), ignoring.sink.counts().null_values_ignored), (vec!["1".to_owned()], 1));
    let mut failing = bench(&[("behavior.on.null.values", "fail")]);
    assert_eq!(errors(failing.put(&[(A, None), (A, Some("1"))])), [error(0, "http.null_value", false)]);
    assert_eq!(failing.endpoint.bodies(), ["1"]);
}

#[test]
fn a_refused_record_is_named_with_status_and_body_and_its_key_goes_on() {
    let mut bench = bench(&[]);
    bench.endpoint.answer([Answer::Status(422)]);
    let outcome = bench.put(&[(A, Some("1")), (A, Some("2")), (B, Some("3"))]);
    let Err(ConnectorError::Records(refused)) = outcome else { panic!("refused") };
    assert_eq!((refused[0].code.as_str(), refused[0].reason.as_str()), ("http.status", "422 from hooks: so it is"));
    assert_eq!((refused.len(), refused[0].index, refused[0].retriable), (1, 0, false));
    assert_eq!(bench.endpoint.bodies(), ["3", "2"]);
}

#[test]
fn what_is_behind_a_failed_record_on_its_key_waits_and_other_keys_go_on() {
    let mut bench = bench(&[]);
    bench.endpoint.answer([Answer::Status(500)]);
    let outcome = bench.put(&[(A, Some("1")), (B, Some("2")), (A, Some("3")), (None, Some("4"))]);
    assert_eq!(errors(outcome), [error(0, "http.status", true), error(2, "http.not_sent", true)]);
    assert_eq!(bench.endpoint.bodies(), ["2", "4"]);
}

#[test]
fn an_endpoint_that_is_down_sees_one_round_and_the_batch_comes_again_as_a_whole() {
    let mut bench = bench(&[("max.in.flight", "2")]);
    let records: Vec<Pair<'_>> = vec![(None, Some("1")); 500];
    for down in [Answer::Unreachable, Answer::Status(503)] {
        bench.endpoint.0.borrow_mut().sent = 0;
        bench.endpoint.answer(std::iter::repeat_n(down, 64));
        let Err(ConnectorError::Retriable { after: None, .. }) = bench.put(&records) else { panic!("retriable") };
        assert_eq!(bench.endpoint.0.borrow().sent, 64);
    }
    bench.put(&records).expect("accepted");
    assert_eq!(bench.endpoint.bodies().len(), 500);
}

#[test]
fn retry_after_is_honoured_also_by_the_next_batch() {
    let mut bench = bench(&[]);
    for (answer, wait) in [
        (Answer::Wait(429, "7"), 7),
        (Answer::Wait(503, "Sun, 06 Nov 1994 08:49:49 GMT"), 5),
        (Answer::Wait(429, "soon"), 0),
    ] {
        bench.endpoint.answer([answer]);
        let Err(ConnectorError::Retriable { after, .. }) = bench.put(&[(A, Some("1"))]) else { panic!("retriable") };
        assert_eq!(after.map_or(0, |after| after.as_secs()), wait);
        if wait > 0 {
            let Err(ConnectorError::Retriable { .. }) = bench.put(&[(B, Some("2"))]) else { panic!("a pause") };
        }
        bench.clock.advance(Duration::from_secs(wait));
    }
    assert_eq!(bench.endpoint.bodies(), [""; 0]);
    bench.put(&[(B, Some("2"))]).expect("accepted");
}

#[test]
fn a_pause_holds_though_some_records_were_accepted_before() {
    let mut bench = bench(&[]);
    bench.endpoint.answer([Answer::Status(200), Answer::Wait(429, "3")]);
    let outcome = bench.put(&[(A, Some("1")), (B, Some("2"))]);
    assert_eq!(errors(outcome), [error(1, "http.status", true)]);
    let Err(ConnectorError::Retriable { after, reason }) = bench.put(&[(B, Some("2"))]) else { panic!("a pause") };
    assert_eq!((after, reason.message.as_str()), (Some(Duration::from_secs(3)), "429 from hooks: so it is"));
}

#[test]
fn a_refused_batch_refuses_all_of_its_records() {
    let mut bench = bench(&[("batch.max.size", "2"), ("max.in.flight", "1")]);
    bench.endpoint.answer([Answer::Status(413)]);
    let outcome = bench.put(&[(A, Some("1")), (B, Some("2")), (A, Some("3"))]);
    assert_eq!(errors(outcome), [error(0, "http.status", false), error(1, "http.status", false)]);
    assert_eq!(bench.endpoint.bodies(), ["[3]"]);
}

#[test]
fn an_endpoint_that_is_not_permitted_is_a_fault_of_the_configuration() {
    let mut bench = bench(&[]);
    bench.endpoint.answer([Answer::Denied]);
    let Err(ConnectorError::Config { key, reason }) = bench.put(&[(A, Some("1"))]) else { panic!("a config error") };
    assert_eq!((key.as_str(), reason.message.as_str()), ("http.url", "http.url permits hooks only"));
}

const LINGERING: [(&str, &str); 2] = [("batch.max.size", "3"), ("linger.ms", "50")];

#[test]
fn a_lingering_batch_waits_to_be_filled_and_counts_only_when_accepted() {
    let mut bench = bench(&LINGERING);
    bench.put(&[(A, Some("1"))]).expect("queued");
    assert_eq!((bench.sink.next_flush_ms(), bench.endpoint.bodies().len()), (Some(50), 0));
    bench.clock.advance(Duration::from_millis(20));
    bench.sink.put(&batch(Form::JSON, 1, &[(A, Some("2")), (B, Some("3"))])).expect("queued");
    assert_eq!(bench.sink.next_flush_ms(), Some(0), "full");
    assert_eq!(bench.committed(3), [3]);
    assert_eq!(bench.endpoint.bodies(), ["[1,2,3]"]);
    assert_eq!(bench.sink.next_flush_ms(), None);
}

#[test]
fn a_lingering_batch_that_fails_stays_and_holds_the_offset() {
    let mut bench = bench(&LINGERING);
    bench.put(&[(A, Some("1")), (A, Some("2"))]).expect("queued");
    bench.endpoint.answer([Answer::Wait(503, "2")]);
    let Err(ConnectorError::Retriable { after, .. }) = bench.sink.flush(&[position(2)]) else { panic!("retriable") };
    assert_eq!(after, Some(Duration::from_secs(2)));
    assert_eq!(bench.sink.next_flush_ms(), Some(2000));
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bench.committed(2), [2]);
    assert_eq!(bench.endpoint.bodies(), ["[1,2]"]);
}

#[test]
fn a_lingering_batch_that_is_refused_is_told_late_record_by_record() {
    let mut bench = bench(&LINGERING);
    bench.put(&[(A, Some("1")), (A, Some("2"))]).expect("queued");
    bench.endpoint.answer([Answer::Status(400)]);
    let flushed = bench.sink.flush(&[position(2)]).expect("flushed");
    let late: Vec<_> =
        flushed.late_errors.iter().map(|error| (error.offset, error.code.as_str(), error.retriable)).collect();
    assert_eq!(late, [(0, "http.status", false), (1, "http.status", false)]);
    assert_eq!(flushed.offsets[0].offset, 2);
}

#[test]
fn the_queue_is_bounded_and_forgets_partitions_that_go_elsewhere() {
    let mut bench = bench(&LINGERING);
    let value = "1".repeat(1000);
    let taken = (0..).take_while(|_| bench.put(&[(A, Some(&value))]).is_ok()).count();
    assert_eq!(taken, 10);
    bench.sink.revoked(&[towpath_model::TopicPartition::new("orders", 0)]);
    assert_eq!(bench.sink.next_flush_ms(), None);
    assert_eq!(bench.sink.flush(&[]).expect("flushed").offsets, []);
    assert_eq!(bench.endpoint.bodies(), [""; 0]);
}
