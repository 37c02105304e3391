//! The `towpath` binary. One file per command under `commands`; everything else here serves several of them.
//!
//! Exit codes, the same for every command: 0 fine, 1 our fault, 2 your input, 3 your environment.

mod addresses;
mod client;
mod commands;
mod connect_cluster;
mod difference;
mod failure;
mod kafka;
mod kafka_view;
mod lines;
mod listener_log;
mod log_view;
mod logging;
mod login;
mod migration_findings;
mod operator;
mod otlp;
mod output;
mod plugins;
mod reader;
mod registry;
mod rest;
mod same_record;
mod screen;
mod secret_commands;
mod storage;

use clap::Parser;

fn main() -> std::process::ExitCode {
    match commands::Cli::parse().run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
