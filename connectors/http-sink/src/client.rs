//! The way out: many requests at once. The component fulfils it with the host's capability, tests with a fake.

use towpath_sdk::http::{HttpError, Request, Response};

/// Sends requests.
pub trait Client {
    /// Sends all requests, at most `max_in_flight` at a time, and answers in their order. Those of one lane are sent one
    /// after another; the first of them that is not answered with 2xx ends the lane.
    fn send_all(&mut self, requests: Vec<Request>, max_in_flight: u32) -> Vec<Result<Response, HttpError>>;
}
