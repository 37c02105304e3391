//! How a command ends when it did not do what it was asked: whose fault it is, which is the exit code, and what to say.

use std::fmt;
use std::process::ExitCode;

use towpath_model::{Blame, Coded, find_code};

/// A command's result.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Towpath's own.
    Ours = 1,
    /// What the user wrote.
    Input = 2,
    /// Network, disk, other programs.
    Environment = 3,
}

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    fault: Fault,
    error: anyhow::Error,
    /// The reason has been shown already; only the exit code is left to tell.
    shown: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl Failure {
    /// Towpath's own fault.
    pub(crate) fn ours(error: impl Into<anyhow::Error>) -> Self {
        Self { fault: Fault::Ours, error: error.into(), shown: false }
    }

    /// Whoever is at fault by the code of the error of ours in it; Towpath, where it has none.
    pub(crate) fn by_code(error: impl Into<anyhow::Error>) -> Self {
        let failure = Self::ours(error);
        let fault = match find_code(&failure.code()).map(|code| code.blame) {
            Some(Blame::Input) => Fault::Input,
            Some(Blame::Environment) => Fault::Environment,
            Some(Blame::Data | Blame::Plugin | Blame::Ours) | None => Fault::Ours,
        };
        Self { fault, ..failure }
    }

    /// The user's input is at fault.
    pub(crate) fn input(message: impl fmt::Display) -> Self {
        Self { fault: Fault::Input, error: anyhow::anyhow!("{message}"), shown: false }
    }

    /// The user's input is at fault, as one of our errors says.
    pub(crate) fn input_error(error: impl Into<anyhow::Error>) -> Self {
        Self { fault: Fault::Input, error: error.into(), shown: false }
    }

    /// The user's environment is at fault.
    pub(crate) fn environment(error: impl Into<anyhow::Error>) -> Self {
        Self { fault: Fault::Environment, error: error.into(), shown: false }
    }

    /// The reason stands on the screen already.
    pub(crate) fn shown(fault: Fault) -> Self {
        Self { fault, error: anyhow::anyhow!("see above"), shown: true }
    }

    /// Whose fault it is.
    pub(crate) fn fault(&self) -> Fault {
        self.fault
    }

    /// A stable code: that of the error of ours in it, or one that says no more than whose fault it is.
    fn code(&self) -> String {
        let coded = |error: &(dyn std::error::Error + 'static)| {
            let host = error.downcast_ref::<towpath_host::Error>().map(Coded::code);
            let config = error.downcast_ref::<towpath_config::Error>().map(Coded::code);
            let log = error.downcast_ref::<towpath_log::Error>().map(Coded::code);
            let rest = error.downcast_ref::<towpath_rest::Error>().map(towpath_rest::Error::code);
            let worker = error.downcast_ref::<towpath_worker::Error>().map(towpath_worker::Error::code);
            let registry = error.downcast_ref::<towpath_registry::Error>().map(towpath_registry::Error::code);
            let kafka = error.downcast_ref::<towpath_broker::Error>().map(towpath_broker::Error::code);
            host.or(config).or(log).or(rest).or(worker).or(registry).or(kafka).map(str::to_owned)
        };
        self.error.chain().find_map(coded).unwrap_or_else(|| match self.fault {
            Fault::Ours => "cli.internal".to_owned(),
            Fault::Input => "cli.input".to_owned(),
            Fault::Environment => "cli.environment".to_owned(),
        })
    }

    /// Says so and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.shown {
            let code = self.code();
            eprintln!("error[{code}]: {:#}", self.error);
            // What says no more than whose fault it is has no more to say about what to do.
            if let Some(known) = find_code(&code).filter(|_| !code.starts_with("cli.")) {
                eprintln!("  = help: {}", known.remedy);
            }
        }
        ExitCode::from(self.fault as u8)
    }

    /// The same with a sentence ahead that says what was attempted.
    pub(crate) fn context(self, what: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self { error: self.error.context(what), ..self }
    }
}
