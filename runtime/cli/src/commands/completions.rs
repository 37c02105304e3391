//! `towpath completions SHELL`: prints the shell's completion script.

use clap::CommandFactory as _;

use crate::failure::Result;

/// Print the completion script of a shell: `source <(towpath completions bash)`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: clap_complete::Shell,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut command = super::Cli::command();
    clap_complete::generate(arguments.shell, &mut command, "towpath", &mut std::io::stdout());
    Ok(())
}
