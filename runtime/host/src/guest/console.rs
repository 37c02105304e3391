//! What a guest writes to its standard output and error: lines for the log, and the last of them for the report of a panic.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use towpath_model::Redactor;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use towpath_model::Clock;

use super::pace::Pace;
use super::text::clean;
/// How much of what was written last is kept.
const TAIL_BYTES: usize = 16 << 10;
/// Longer lines are cut.
const LINE_BYTES: usize = 8 << 10;

/// One of a guest's two output streams.
#[derive(Clone)]
pub(crate) struct Console {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    tail: VecDeque<u8>,
    line: Vec<u8>,
    task: String,
    redactor: Redactor,
    clock: Arc<dyn Clock>,
    lines: Pace,
}

impl Console {
    pub(crate) fn new(task: &str, redactor: Redactor, clock: Arc<dyn Clock>, lines: Pace) -> Self {
        let (tail, line) = (VecDeque::new(), Vec::new());
        let shared = Shared { tail, line, task: task.to_owned(), redactor, clock, lines };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// What was written last, as text, and forgets it.
    pub(crate) fn take_tail(&self) -> String {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let tail: Vec<u8> = shared.tail.drain(..).collect();
        String::from_utf8_lossy(&tail).trim().to_owned()
    }

    fn take(&self, bytes: &[u8]) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = bytes.get(bytes.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
        let excess = (shared.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        shared.tail.drain(..excess);
        shared.tail.extend(kept);
        for byte in bytes {
            if *byte == b'\n' {
                shared.log_line();
            } else if shared.line.len() < LINE_BYTES {
                shared.line.push(*byte);
            }
        }
    }
}

impl Shared {
    fn log_line(&mut self) {
        if tracing::enabled!(target: "towpath::guest", tracing::Level::DEBUG)
            && !self.line.trim_ascii().is_empty()
            && let Some(left_out) = self.lines.admit(self.clock.monotonic())
        {
            let line = clean(&self.redactor, &String::from_utf8_lossy(&self.line));
            let left_out = (left_out > 0).then_some(left_out);
            tracing::debug!(target: "towpath::guest", task = %self.task, left_out, "{line}");
        }
        self.line.clear();
    }
}

impl IsTerminal for Console {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Console {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// Taken at once, so that nothing of a panic's text is still on its way when the guest has ended.
impl OutputStream for Console {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(TAIL_BYTES)
    }
}

#[async_trait]
impl Pollable for Console {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Console {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_of_it_is_kept() {
        let lines = Pace::new(1, std::time::Duration::from_secs(1));
        let console = Console::new("t-0", Redactor::default(), Arc::new(towpath_model::SystemClock::default()), lines);
        console.take(&vec![b'a'; 3 * TAIL_BYTES]);
        console.take(b"the end\n");
        let tail = console.take_tail();
        assert!(tail.ends_with("the end") && tail.len() <= TAIL_BYTES, "{}", tail.len());
    }
}
