//! The programs that give secrets, as `${exec:NAME:ARGUMENT}` asks for them. A configuration names one by the name that the operator gave
//! it, and can say nothing but its argument; no shell is in between.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use towpath_worker::SecretCommands;

/// How long a program may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// The longest secret.
const SECRET_BYTES_MAX: u64 = 1 << 20;
/// How much of its errors is read.
const ERROR_BYTES_MAX: u64 = 64 << 10;

/// Programs that give secrets.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// A program that gives secrets, and the name by which references ask it: ${exec:NAME:ARGUMENT} is what it prints when it is called with ARGUMENT. May be given several times.
    #[arg(long = "secret-command", env = "TOWPATH_SECRET_COMMAND", value_name = "NAME=PROGRAM,…", value_delimiter = ',', value_parser = named)]
    secret_commands: Vec<(String, PathBuf)>,
}

impl Options {
    /// The programs, where there are any.
    pub(crate) fn commands(&self) -> Option<Arc<dyn SecretCommands>> {
        let programs: BTreeMap<String, PathBuf> = self.secret_commands.iter().cloned().collect();
        if programs.is_empty() { None } else { Some(Arc::new(Programs(programs))) }
    }
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, program)) if !name.is_empty() && !name.contains(':') && !program.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(program)))
        }
        _ => Err("write NAME=PROGRAM, the name without a colon".to_owned()),
    }
}

struct Programs(BTreeMap<String, PathBuf>);

#[async_trait]
impl SecretCommands for Programs {
    async fn ask(&self, command: &str, argument: &str) -> Result<String, String> {
        let program = self.0.get(command).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            format!("the worker knows no command of this name, but {}", known.join(", "))
        })?;
        let mut asked = Command::new(program);
        asked.arg(argument).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = asked.spawn().map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
        match tokio::time::timeout(ANSWERED_WITHIN, answer(child)).await {
            Ok(Ok(answered)) => answered.secret(),
            Ok(Err(error)) => Err(format!("what it prints cannot be read: {error}")),
            Err(_) => Err(format!("it did not end within {} s", ANSWERED_WITHIN.as_secs())),
        }
    }
}

struct Answered {
    status: ExitStatus,
    printed: Vec<u8>,
    errors: Vec<u8>,
}

async fn answer(mut child: Child) -> std::io::Result<Answered> {
    let (printed, errors) = (child.stdout.take(), child.stderr.take());
    let (status, printed, errors) =
        tokio::try_join!(child.wait(), read_in(printed, SECRET_BYTES_MAX + 1), read_in(errors, ERROR_BYTES_MAX))?;
    Ok(Answered { status, printed, errors })
}

/// Reads at most so much; what comes beyond is a broken pipe to who writes it.
async fn read_in(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

impl Answered {
    fn secret(self) -> Result<String, String> {
        if self.printed.len() as u64 > SECRET_BYTES_MAX {
            return Err("it prints more than 1 MiB".to_owned());
        }
        if !self.status.success() {
            let errors = String::from_utf8_lossy(&self.errors);
            return Err(match errors.lines().find(|line| !line.trim().is_empty()) {
                Some(line) => format!("it ended with {}: {line}", self.status),
                None => format!("it ended with {}", self.status),
            });
        }
        let text = String::from_utf8(self.printed).map_err(|_| "what it prints is no text".to_owned())?;
        // Programs end what they print with a line break that is no part of the secret.
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() { Err("it prints nothing".to_owned()) } else { Ok(text.to_owned()) }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_program_gives_what_it_prints_or_says_why_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("vault");
        let script = "#!/bin/sh\ncase $1 in\n  broken) echo; echo 'the vault is sealed' >&2; exit 3;;\n  silent) ;;\n  \
                      large) head -c 2000000 /dev/zero;;\n  *) echo \"secret of $1\";;\nesac\n";
        std::fs::write(&program, script).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("changed");
        let missing = folder.path().join("missing");
        let text = format!("vault={},gone={}", program.display(), missing.display());
        let secret_commands = text.split(',').map(|text| named(text).expect("a name and a program")).collect();
        let commands = Options { secret_commands }.commands().expect("two");
        let said = async |command: &str, argument: &str| match commands.ask(command, argument).await {
            Ok(secret) => secret,
            Err(reason) => format!("no: {reason}"),
        };
        assert_eq!(said("vault", "db $(whoami); x").await, "secret of db $(whoami); x");
        assert_eq!(said("vault", "broken").await, "no: it ended with exit status: 3: the vault is sealed");
        assert_eq!(said("vault", "silent").await, "no: it prints nothing");
        assert_eq!(said("vault", "large").await, "no: it prints more than 1 MiB");
        assert_eq!(said("pass", "db").await, "no: the worker knows no command of this name, but gone, vault");
        let gone = said("gone", "db").await;
        assert!(gone.starts_with(&format!("no: {} cannot be run: ", missing.display())), "{gone}");
        assert!(named("vault").is_err() && named("a:b=/bin/true").is_err() && named("a=").is_err());
    }
}
