//! The commands, one file each. This file only lists them.

use std::future::Future;

use clap::{Parser, Subcommand};

use crate::failure::{Failure, Result};

mod apply;
mod check;
pub(crate) mod compile_component;
mod completions;
mod delete;
mod diff;
mod doctor;
mod explain;
mod export;
mod groups;
mod import;
mod log;
mod offsets;
mod pause;
mod plugin;
mod produce;
mod replay;
mod restart;
mod resume;
mod retries;
mod run;
mod schema;
mod signals;
mod status;
mod stop;
mod tail;
mod tap;
mod test;
mod topics;
mod users;

/// Moves data between systems and a durable log: connectors as sandboxed WASM components, pipelines as YAML files in a folder.
#[derive(Debug, Parser)]
#[command(name = "towpath", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 fine, 1 our fault, 2 your input, 3 your environment.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Log(log::Arguments),
    Check(check::Arguments),
    Diff(diff::Arguments),
    Apply(apply::Arguments),
    Test(test::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    Status(status::Arguments),
    Topics(topics::Arguments),
    Groups(groups::Arguments),
    Produce(produce::Arguments),
    Tail(tail::Arguments),
    Tap(tap::Arguments),
    Pause(pause::Arguments),
    Resume(resume::Arguments),
    Stop(stop::Arguments),
    Restart(restart::Arguments),
    Delete(delete::Arguments),
    Offsets(offsets::Arguments),
    Retries(retries::Arguments),
    Replay(replay::Arguments),
    Import(import::Arguments),
    Export(export::Arguments),
    Users(users::Arguments),
    Plugin(plugin::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    #[command(hide = true)]
    CompileComponent(compile_component::Arguments),
}

impl Cli {
    /// Carries the command out.
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            Command::Run(arguments) => run::run(&arguments),
            Command::Log(arguments) => log::run(&arguments),
            Command::Check(arguments) => wait(check::run(arguments)),
            Command::Diff(arguments) => wait(diff::run(arguments)),
            Command::Apply(arguments) => wait(apply::run(arguments)),
            Command::Test(arguments) => wait(test::run(arguments)),
            Command::Doctor(arguments) => wait(doctor::run(arguments)),
            Command::Explain(arguments) => explain::run(&arguments),
            Command::Status(arguments) => wait(status::run(arguments)),
            Command::Topics(arguments) => wait(topics::run(arguments)),
            Command::Groups(arguments) => wait(groups::run(arguments)),
            Command::Produce(arguments) => wait(produce::run(arguments)),
            Command::Tail(arguments) => wait(tail::run(arguments)),
            Command::Tap(arguments) => wait(tap::run(arguments)),
            Command::Pause(arguments) => wait(pause::run(arguments)),
            Command::Resume(arguments) => wait(resume::run(arguments)),
            Command::Stop(arguments) => wait(stop::run(arguments)),
            Command::Restart(arguments) => wait(restart::run(arguments)),
            Command::Delete(arguments) => wait(delete::run(arguments)),
            Command::Offsets(arguments) => wait(offsets::run(arguments)),
            Command::Retries(arguments) => wait(retries::run(arguments)),
            Command::Replay(arguments) => wait(replay::run(arguments)),
            Command::Import(arguments) => wait(import::run(arguments)),
            Command::Export(arguments) => wait(export::run(arguments)),
            Command::Users(arguments) => users::run(&arguments),
            Command::Plugin(arguments) => wait(plugin::run(arguments)),
            Command::Schema(arguments) => schema::run(&arguments),
            Command::Completions(arguments) => completions::run(&arguments),
            Command::CompileComponent(arguments) => compile_component::run(&arguments),
        }
    }
}

/// Runs a command that needs little, on one thread.
fn wait(command: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::environment)?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_can_come_from_the_environment() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
                let name = argument.get_env().and_then(|name| name.to_str());
                let at = format!("--{} of {}", argument.get_long().unwrap_or_default(), command.get_name());
                assert!(name.is_some_and(|name| name.starts_with("TOWPATH_")), "{at} has no TOWPATH_ variable");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
