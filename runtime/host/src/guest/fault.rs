//! Why a guest's instance ended, as an error with a stable code.
//!
//! | code | cause |
//! |---|---|
//! | `guest.panic` | it panicked; the message is the panic's |
//! | `guest.memory` | it asked for more memory than its limit |
//! | `guest.time` | it computed too long, or a call took too long |
//! | `guest.exit` | it called exit |
//! | `guest.handles` | it holds more connections, files and uploads than its limit |
//! | `guest.trap` | any other trap, such as a stack overflow |
//! | `guest.malformed` | its answer contradicts itself |
//! | `guest.cancelled` | a call was dropped half way |

use std::time::Duration;

use towpath_model::{ConnectorError, Reason, Redactor};
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::limits::{ComputeExceeded, MemoryExceeded};

/// The error that a failed call becomes. `stderr` is what the guest wrote last.
pub(crate) fn classify(error: &wasmtime::Error, stderr: &str, redactor: &Redactor) -> ConnectorError {
    let trace = error.downcast_ref::<WasmBacktrace>().map(|trace| redactor.redact(&trace.to_string()).into_owned());
    let (code, message) = if let Some(exceeded) = error.downcast_ref::<MemoryExceeded>() {
        ("guest.memory", format!("the component ran out of memory: {exceeded}"))
    } else if let Some(exceeded) = error.downcast_ref::<ComputeExceeded>() {
        ("guest.time", format!("the component hangs: {exceeded}"))
    } else if let Some(exit) = error.downcast_ref::<I32Exit>() {
        // WASI tells no more of a status than whether it is zero.
        let how = if exit.0 == 0 { "as if it were done" } else { "with an error" };
        ("guest.exit", format!("the component exited by itself, {how}"))
    } else if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        ("guest.handles", "the component holds more connections, files, uploads and stores than it may".to_owned())
    } else if let Some(panic) = panic_message(stderr) {
        ("guest.panic", format!("the component panicked: {panic}"))
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        ("guest.trap", format!("the component trapped: {}", describe(*trap)))
    } else {
        ("guest.trap", format!("the component failed: {:#}", error))
    };
    ConnectorError::Fatal { reason: Reason::coded(code, redactor.redact(&message).into_owned()), trace }
}

/// A call that took longer than it may.
pub(crate) fn timed_out(call: &str, limit: Duration) -> ConnectorError {
    let message = format!("the component did not return from `{call}` within {} ms", limit.as_millis());
    ConnectorError::fatal(Reason::coded("guest.time", message))
}

/// An answer that contradicts itself.
pub(crate) fn malformed(call: &str, reason: impl std::fmt::Display) -> ConnectorError {
    let message = format!("the component's answer to `{call}` is malformed: {reason}");
    ConnectorError::fatal(Reason::coded("guest.malformed", message))
}

/// A call that was dropped half way.
pub(crate) fn cancelled(call: &str) -> ConnectorError {
    let message = format!("the call `{call}` was cut off");
    ConnectorError::fatal(Reason::coded("guest.cancelled", message))
}

/// The text of the last panic in what was written to standard error, as Rust's runtime and others write it.
fn panic_message(stderr: &str) -> Option<String> {
    let start = stderr.rfind("panicked at ")?;
    let text = stderr.get(start..)?;
    let text = text.split("\nnote: run with").next().unwrap_or(text);
    let (place, message) = text.strip_prefix("panicked at ")?.split_once('\n').unwrap_or((text, ""));
    let message = message.trim();
    Some(if message.is_empty() {
        place.trim().to_owned()
    } else {
        format!("{message} (at {})", place.trim_end_matches(':'))
    })
}

fn describe(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "its call stack is exhausted",
        Trap::MemoryOutOfBounds => "it reached outside of its memory, as a stack overflow of compiled code does too",
        Trap::UnreachableCodeReached => "it aborted",
        Trap::IntegerDivisionByZero => "it divided by zero",
        Trap::IntegerOverflow => "an integer overflowed",
        Trap::OutOfFuel | Trap::Interrupt => "it was interrupted",
        Trap::IndirectCallToNull | Trap::BadSignature | Trap::TableOutOfBounds => {
            "it called a function that is not there"
        }
        _ => "its code did what WASM forbids",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_message_and_place() {
        let stderr = "noise\nthread '<unnamed>' (1) panicked at src/lib.rs:7:5:\nno such table\nnote: run with `RUST_BACKTRACE=1`";
        assert_eq!(panic_message(stderr).as_deref(), Some("no such table (at src/lib.rs:7:5)"));
        assert_eq!(panic_message("just noise"), None);
    }
}
