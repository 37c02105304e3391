//! What a user would notice, tested against the built binary and real servers.
//!
//! Three kinds of tests, each found rather than listed: `cases/<name>/` (a folder per behaviour, no Rust), `examples/<name>/run.sh`
//! (every story is run to its end), and `crash/` (the worker is killed, at random and at named points). Names begin with the
//! kind, so that `cargo test --test behaviour -- cases::quickstart` runs one of them. What a failed test leaves behind is kept,
//! and its folder named.

mod crash;
mod runner;
mod stories;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let servers = Arc::new(runner::Servers::default());
    let mut trials = runner::trials(&servers);
    trials.extend(stories::trials());
    trials.extend(crash::trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The servers that cases share end here; leaving through `exit` would leave them running.
    servers.stop();
    conclusion.exit_code()
}
