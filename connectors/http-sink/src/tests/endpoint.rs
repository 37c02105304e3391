//! An endpoint in memory with a queue of answers, behind a host that keeps to the rules of lanes.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use towpath_model::{Batch, BatchBuilder, Form, Position, Run};
use towpath_sdk::http::{HttpError, Request, Response};

use crate::Client;

/// What befalls a request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Status(u16),
    /// A status with `Retry-After`.
    Wait(u16, &'static str),
    /// The connection breaks before the endpoint has taken the request in.
    Unreachable,
    /// It breaks afterwards.
    BreaksOff,
    Denied,
}

#[derive(Debug, Default)]
pub(super) struct Endpoint {
    /// Answers to come; afterwards every answer is 200.
    pub(super) answers: VecDeque<Answer>,
    /// Requests that the endpoint has taken in.
    pub(super) taken: Vec<Request>,
    /// Requests that the host has sent.
    pub(super) sent: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeClient(pub(super) Rc<RefCell<Endpoint>>);

impl FakeClient {
    pub(super) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.0.borrow_mut().answers.extend(answers);
    }

    /// Bodies taken in since the last call.
    pub(super) fn bodies(&self) -> Vec<String> {
        let requests = std::mem::take(&mut self.0.borrow_mut().taken);
        requests.into_iter().map(|request| String::from_utf8(request.body).expect("text")).collect()
    }
}

impl Client for FakeClient {
    fn send_all(&mut self, requests: Vec<Request>, _max_in_flight: u32) -> Vec<Result<Response, HttpError>> {
        let mut ended = HashSet::new();
        let mut endpoint = self.0.borrow_mut();
        let mut answers = Vec::new();
        for request in requests {
            let lane = request.lane;
            if ended.contains(&lane) {
                answers.push(Err(HttpError::NotSent));
                continue;
            }
            let answer = endpoint.answer(request);
            if !answer.as_ref().is_ok_and(|response| (200..300).contains(&response.status)) {
                ended.insert(lane);
            }
            answers.push(answer);
        }
        answers
    }
}

impl Endpoint {
    fn answer(&mut self, request: Request) -> Result<Response, HttpError> {
        self.sent += 1;
        let response = |status, headers| Ok(Response { status, headers, body: b"so it is".to_vec() });
        match self.answers.pop_front().unwrap_or(Answer::Status(200)) {
            Answer::Status(status) => {
                if (200..300).contains(&status) {
                    self.taken.push(request);
                }
                response(status, Vec::new())
            }
            Answer::Wait(status, after) => response(status, vec![("retry-after".to_owned(), after.to_owned())]),
            Answer::Unreachable => Err(HttpError::Connection("refused".to_owned())),
            Answer::BreaksOff => {
                self.taken.push(request);
                Err(HttpError::Connection("broke off".to_owned()))
            }
            Answer::Denied => Err(HttpError::Denied("http.url permits hooks only".to_owned())),
        }
    }
}

/// Key and value of a record; its offset is its place.
pub(super) type Pair<'a> = (Option<&'a str>, Option<&'a str>);

pub(super) fn batch(form: Form, first_offset: i64, records: &[Pair<'_>]) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: form });
    for (offset, (key, value)) in (first_offset..).zip(records) {
        builder.key(key.map(str::as_bytes));
        builder.value(value.map(str::as_bytes));
        builder.end(Some(0), Some(offset));
    }
    builder.build()
}

pub(super) fn position(offset: i64) -> Position {
    Position { topic: "orders".into(), partition: 0, offset, metadata: String::new() }
}
