//! Reads the log for `tail` and `topics`: through the worker's REST where one runs, for it holds the lock, over the listener of a log that runs
//! alone, or from the stopped data directory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use towpath_rest::{Log, LogFault, Tail, TailOptions, TailProgress, TopicDescription, write_record};

use crate::addresses::Addresses;
use crate::client::{Client, Target, segment};
use crate::failure::{Failure, Result};
use crate::listener_log::ListenerLog;
use crate::{operator, storage};

/// Where the log is read.
pub(crate) enum Reader {
    /// Through a running worker.
    Running(Client),
    /// Over the listener of a log that runs alone.
    Alone(Arc<dyn Log>),
    /// From the files of a worker that is stopped.
    Stopped(Arc<dyn Log>),
}

impl Reader {
    /// Finds the worker, or else opens its data directory.
    pub(crate) async fn find(target: &Target) -> Result<Self> {
        if target.url.is_some() {
            return Ok(Self::Running(target.client()?));
        }
        if let Some(address) = operator::alone(target) {
            return match ListenerLog::connect(&address).await {
                Ok(log) => Ok(Self::Alone(Arc::new(log))),
                // One that was killed left its address behind; one that runs holds the lock.
                Err(error) => match storage::open_to_read(&target.data_dir).await {
                    Ok(log) => Ok(Self::Stopped(log)),
                    Err(_) => Err(operator::failure(error)),
                },
            };
        }
        if Addresses::read(&target.data_dir).is_some() {
            let client = target.client()?;
            if client.answers().await {
                return Ok(Self::Running(client));
            }
        }
        Ok(Self::Stopped(storage::open_to_read(&target.data_dir).await?))
    }

    /// Whether nothing is written any more.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }

    /// All topics.
    pub(crate) async fn topics(&self) -> Result<Vec<TopicDescription>> {
        match self {
            Self::Running(client) => client.get("/v1/topics").await,
            Self::Alone(log) | Self::Stopped(log) => Ok(log.topics()),
        }
    }

    /// Begins to follow a topic.
    pub(crate) async fn tail(&self, topic: &str, options: TailOptions) -> Result<Records> {
        match self {
            Self::Running(client) => {
                let mut path =
                    format!("/v1/topics/{}/records?from={}&exit={}", segment(topic), options.from, options.exit);
                if let Some(max) = options.max {
                    path.push_str(&format!("&max={max}"));
                }
                Records::streamed(client.clone(), &path).await
            }
            Self::Alone(log) | Self::Stopped(log) => {
                let tail = Tail::start(Arc::clone(log), topic.to_owned(), options).await.map_err(failure)?;
                Ok(Records::Read(tail))
            }
        }
    }
}

/// Records as lines of JSON.
pub(crate) enum Records {
    /// From a worker's answer.
    Streamed {
        /// The worker.
        client: Client,
        /// Its answer, under way.
        response: reqwest::Response,
        /// The beginning of a line whose end is still to come.
        partial: Vec<u8>,
        /// Whole lines not yet handed out.
        whole: VecDeque<Vec<u8>>,
    },
    /// From a log in this process.
    Read(Tail),
}

#[derive(Deserialize)]
struct Refusal {
    error_code: u16,
    message: String,
}

impl Records {
    /// What a worker answers under this path, line by line, for as long as it does.
    pub(crate) async fn streamed(client: Client, path: &str) -> Result<Self> {
        let response = client.send(Method::GET, path).await?;
        Ok(Self::Streamed { client, response, partial: Vec::new(), whole: VecDeque::new() })
    }

    /// The next lines, each with its newline, or none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Read(tail) => {
                let mut lines = Vec::new();
                let wait = Duration::from_secs(60);
                match tail.next(wait, |record| write_record(&mut lines, record)).await.map_err(failure)? {
                    TailProgress::Records | TailProgress::Quiet => Ok(Some(lines)),
                    TailProgress::Ended => Ok(None),
                }
            }
            Self::Streamed { client, response, partial, whole } => loop {
                if let Some(lines) = whole.pop_front() {
                    return Ok(Some(lines));
                }
                let Some(chunk) = response.chunk().await.map_err(|error| client.lost(error))? else {
                    return Ok(None);
                };
                partial.extend_from_slice(&chunk);
                let Some(end) = partial.iter().rposition(|byte| *byte == b'\n') else { continue };
                let rest = partial.split_off(end + 1);
                let lines = std::mem::replace(partial, rest);
                refuse_error_line(&lines)?;
                if lines.iter().any(|byte| *byte != b'\n') {
                    whole.push_back(lines);
                }
            },
        }
    }
}

/// A stream that breaks off says why in its last line.
fn refuse_error_line(lines: &[u8]) -> Result<()> {
    let last = lines.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if !last.starts_with(b"{\"error_code\"") {
        return Ok(());
    }
    match serde_json::from_slice::<Refusal>(last) {
        Ok(refusal) => Err(Failure::ours(anyhow::anyhow!("{} ({})", refusal.message, refusal.error_code))),
        Err(_) => Ok(()),
    }
}

fn failure(fault: LogFault) -> Failure {
    match fault {
        LogFault::UnknownTopic(_) => Failure::input(fault),
        LogFault::Failed(_) => Failure::ours(fault),
    }
}
