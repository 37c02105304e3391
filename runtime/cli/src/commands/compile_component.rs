//! `towpath compile-component BYTES SECONDS`: compiles the component in its input into its output. For the worker, which starts it for
//! each component that is new, so that one that takes too much harms nobody else.

use std::path::{Path, PathBuf};

use towpath_host::{Error, Program, compile_within};

use crate::failure::{Failure, Fault, Result};

const NAME: &str = "compile-component";

/// Compile a component.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Memory it may take.
    memory_bytes: u64,
    /// Processor time it may take.
    seconds: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    compile_within(arguments.memory_bytes, arguments.seconds).map_err(|error| match error {
        Error::Component { source, .. } => {
            // The worker says it in its own words around.
            eprintln!("{source:#}");
            Failure::shown(Fault::Input)
        }
        error => Failure::environment(error),
    })
}

/// This very program with this command. An update may have put another one in its place on disk, whose code would not fit.
pub(crate) fn program() -> Result<Program> {
    let running = Path::new("/proc/self/exe");
    let path = if running.exists() {
        PathBuf::from(running)
    } else {
        std::env::current_exe().map_err(Failure::environment)?
    };
    Ok(Program { path, arguments: vec![NAME.to_owned()] })
}
