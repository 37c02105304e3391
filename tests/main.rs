//! What a user would notice, tested against the built binary and real servers.
//!
//! Kinds of tests, found rather than listed: `cases/<name>/` (a folder per behaviour, no Rust), `findings/<name>/` (a mistake in a
//! configuration and what is said of it, no Rust), `examples/<name>/run.sh` (every story is run to its end) and
//! `differential/recordings/<name>/` (a workload and what Debezium made of it). Beside them `exchanges/` asks what Kafka Connect was
//! asked and compares the answers, `access.rs` is turned away at the door, `alone.rs` looks into a log without a worker, `deferred.rs`
//! puts records again later, `operate.rs` asks what operators ask, `tap.rs` watches records on their way, `traces.rs` collects spans, `whole.rs` looks for parts of transactions, `crash/` kills the worker, at random and at named points,
//! `chaos/` spoils what it works with, and `hostile/` gives it plugins that misbehave; `capture.rs` is the plain scene that several of
//! them share. Names begin with the kind, so that `cargo test --test behaviour -- cases::quickstart` runs one of them. What a failed
//! test leaves behind is kept, and its folder named.

mod access;
mod alone;
mod capture;
mod chaos;
mod crash;
mod deferred;
mod exchanges;
mod findings;
mod hostile;
mod operate;
mod recordings;
mod reload;
mod runner;
mod stories;
mod tap;
mod traces;
mod whole;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    if let Some(ended) = chaos::relay() {
        return ended;
    }
    let arguments = Arguments::from_args();
    let servers = Arc::new(runner::Servers::default());
    let mut trials = runner::trials(&servers);
    trials.extend(findings::trials());
    trials.extend(stories::trials());
    trials.extend(recordings::trials());
    trials.extend(crash::trials());
    trials.extend(access::trials());
    trials.extend(alone::trials());
    trials.extend(deferred::trials());
    trials.extend(exchanges::trials());
    trials.extend(reload::trials());
    trials.extend(whole::trials());
    trials.extend(operate::trials());
    trials.extend(tap::trials());
    trials.extend(traces::trials());
    trials.extend(hostile::trials(&servers));
    trials.extend(chaos::trials());
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The servers that cases share end here; leaving through `exit` would leave them running.
    servers.stop();
    conclusion.exit_code()
}
