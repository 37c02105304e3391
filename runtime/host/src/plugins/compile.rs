//! Compiling a component. How long that takes and how much memory is up to the component, so where the host is given a program for it,
//! that is done in a process of its own, which ends when it takes too much of either and takes nobody with it.
//!
//! ```text
//! host: start the program, write the component ──▶ program: limit itself, compile, write the code ──▶ host: seal it, load it
//! ```
//! What comes back is believed because the program is ours; a component that could make it write something else would have broken the
//! compiler, against which nothing here defends.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Error;
use crate::config::{Limits, Program};
use crate::engine::engine;

/// How the program ends when the component is at fault by what it is.
const REFUSED: i32 = 2;
/// Bytes of the program's complaints that are kept.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// Compiles in this process.
///
/// # Errors
/// When the bytes are no component.
pub(crate) fn here(engine: &wasmtime::Engine, name: &str, wasm: &[u8]) -> Result<Vec<u8>, Error> {
    engine.precompile_component(wasm).map_err(|source| Error::Component { name: name.to_owned(), source })
}

/// Compiles in a process of the program, within the limits.
///
/// # Errors
/// When the bytes are no component, or compiling them takes too much.
pub(crate) fn elsewhere(program: &Program, limits: &Limits, name: &str, wasm: &[u8]) -> Result<Vec<u8>, Error> {
    let too_much = |reason: String| Error::CompileLimit { name: name.to_owned(), reason };
    let failed = |source| Error::Io { path: program.path.clone(), what: "compiling a component", source };
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).arg(limits.compile_memory_bytes_max.to_string());
    command.arg(limits.compile_max.as_secs().max(1).to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let spoken = converse(&mut child, wasm, limits.compile_max);
    let in_time = spoken.is_some();
    if !in_time {
        // It may have ended in this moment.
        drop(child.kill());
    }
    let status = child.wait().map_err(failed)?;
    let Some((code, complaint)) = spoken else {
        return Err(too_much(format!("compiling it takes longer than {} s", limits.compile_max.as_secs_f32())));
    };
    if status.success() {
        return Ok(code);
    }
    if status.code() == Some(REFUSED) {
        let source = wasmtime::Error::msg(complaint.split_whitespace().collect::<Vec<_>>().join(" "));
        return Err(Error::Component { name: name.to_owned(), source });
    }
    // What follows is a backtrace.
    let complaint = complaint.lines().next().unwrap_or_default();
    let memory = limits.compile_memory_bytes_max >> 20;
    Err(too_much(format!(
        "compiling it takes more than {memory} MiB of memory, or breaks the compiler ({status}): {complaint}"
    )))
}

/// Gives the child the component and takes what it answers and complains of; none when that takes too long.
fn converse(child: &mut Child, wasm: &[u8], limit: Duration) -> Option<(Vec<u8>, String)> {
    let (given, mut code, complaints) = (child.stdin.take(), child.stdout.take()?, child.stderr.take()?);
    let (heard, answer) = mpsc::channel();
    let wasm = wasm.to_vec();
    // The threads end with the child, whose ends of the pipes close then.
    std::thread::spawn(move || {
        // A child that has seen enough says why by the way it ends.
        given.map(|mut given| given.write_all(&wasm))
    });
    std::thread::spawn(move || {
        let complaining = std::thread::spawn(move || {
            let mut said = String::new();
            let mut complaints = complaints.take(COMPLAINT_BYTES_MAX);
            drop(complaints.read_to_string(&mut said));
            // What is beyond is read all the same, so that the child is not held up by it.
            drop(std::io::copy(&mut complaints.into_inner(), &mut std::io::sink()));
            said
        });
        let mut bytes = Vec::new();
        drop(code.read_to_end(&mut bytes));
        let said = complaining.join().unwrap_or_default();
        // Whoever waited may have given up.
        drop(heard.send((bytes, said)));
    });
    answer.recv_timeout(limit).ok()
}

/// The program's part: compiles what stands in its input into its output, within these limits of its own.
///
/// # Errors
/// When the input is no component, or the code cannot be written.
pub fn compile_within(memory_bytes_max: u64, processor_seconds: u64) -> Result<(), Error> {
    // Also when whoever started it is gone, it comes to an end.
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    limit(Resource::Data, memory_bytes_max);
    limit(Resource::Cpu, processor_seconds.saturating_mul(threads));
    let failed = |what| move |source| Error::Io { path: "component".into(), what, source };
    let mut wasm = Vec::new();
    std::io::stdin().lock().read_to_end(&mut wasm).map_err(failed("cannot be read"))?;
    let code = here(&engine()?, "component", &wasm)?;
    std::io::stdout().lock().write_all(&code).map_err(failed("its code cannot be written"))
}

/// A limit that cannot be set, because a lower one holds already, is no loss.
fn limit(resource: Resource, most: u64) {
    let maximum = getrlimit(resource).maximum;
    let most = maximum.map_or(most, |maximum| most.min(maximum));
    let _ = setrlimit(resource, Rlimit { current: Some(most), maximum });
}

#[cfg(test)]
mod tests {
    use towpath_model::Coded;

    use super::*;

    fn compile(script: &str, limit: Duration) -> Result<Vec<u8>, String> {
        let program = Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into(), "sh".into()] };
        let limits = Limits { compile_max: limit, ..Limits::default() };
        let wasm = vec![7; 1 << 20];
        elsewhere(&program, &limits, "x.wasm", &wasm)
            .map_err(|error| format!("{}: {}", error.code(), crate::error::chain(&error)))
    }

    #[test]
    fn the_program_answers_with_the_code() {
        assert_eq!(compile("cat", Duration::from_secs(60)), Ok(vec![7; 1 << 20]));
        assert_eq!(compile("echo $1 $2", Duration::from_secs(60)), Ok(b"4294967296 60\n".to_vec()));
    }

    #[test]
    fn what_takes_too_much_is_ended_and_named() {
        let refused = |script, limit| compile(script, limit).expect_err("refused");
        assert_eq!(
            refused("exec sleep 600", Duration::from_millis(50)),
            "plugin.compile_limit: x.wasm is not compiled: compiling it takes longer than 0.05 s"
        );
        let broken = refused("echo too large >&2; kill -ABRT $$", Duration::from_secs(60));
        assert!(broken.starts_with("plugin.compile_limit: ") && broken.ends_with("too large"), "{broken}");
    }

    #[test]
    fn what_is_no_component_is_said_to_be_none() {
        let refused = compile("echo no magic >&2; exit 2", Duration::from_secs(60)).expect_err("refused");
        assert_eq!(refused, "plugin.component: x.wasm is not a component that this worker can run: no magic");
    }
}
