//! `towpath users add|list|remove`: who may log in at listeners that ask for that. A running broker notices at once.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Subcommand;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustix::termios::{self, LocalModes, OptionalActions};
use serde::Serialize;
use towpath_broker::{RestAccess, Users};
use towpath_model::Secret;

use crate::client::DATA_DIR;
use crate::failure::{Failure, Result};
use crate::output::{print, print_json};
use crate::storage;

/// Manage the users that Kafka clients (SASL) and REST clients (basic authentication) log in with. A running worker notices at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user, or give one another password, which is read from the terminal or from stdin.
    Add {
        /// The name.
        name: String,
        /// What the user may do over REST and with the schema registry, where the worker runs with --rest-basic-auth or
        /// --registry-basic-auth: nothing unless told.
        #[arg(long, env = "TOWPATH_USER_REST", value_name = "ACCESS")]
        rest: Option<Rest>,
        #[command(flatten)]
        place: Place,
    },
    /// List the users.
    List {
        /// Print one JSON document.
        #[arg(long, env = "TOWPATH_JSON")]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a user. Connections that are open stay.
    Remove {
        /// The name.
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Rest {
    /// Nothing.
    None,
    /// Look.
    Read,
    /// Everything.
    Write,
}

/// A user as `--json` shows it.
#[derive(Serialize)]
struct User {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<RestAccess>,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The worker's data directory.
    #[arg(long, env = "TOWPATH_DATA_DIR", value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
}

impl Place {
    fn users(&self) -> Result<Users> {
        Users::open(storage::kafka_users_file(&self.data_dir), storage::seed()).map_err(Failure::input_error)
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::Add { name, rest, place } => {
            let users = place.users()?;
            let password = password(name)?;
            let mut random = StdRng::seed_from_u64(storage::seed());
            let new = users.put(name, password.reveal(), &mut random).map_err(Failure::input_error)?;
            if let Some(rest) = rest {
                let access = match rest {
                    Rest::None => None,
                    Rest::Read => Some(RestAccess::Read),
                    Rest::Write => Some(RestAccess::Write),
                };
                users.allow_rest(name, access).map_err(Failure::input_error)?;
            }
            print([if new { format!("{name} is added") } else { format!("{name} has another password") }])
        }
        Command::List { json, place } => {
            let all = place.users()?.all().map_err(Failure::input_error)?;
            let users: Vec<User> = all.into_iter().map(|(name, rest)| User { name, rest }).collect();
            if *json {
                return print_json(&users);
            }
            print(users.into_iter().map(|User { name, rest }| match rest {
                None => name,
                Some(RestAccess::Read) => format!("{name}  REST: read"),
                Some(RestAccess::Write) => format!("{name}  REST: write"),
            }))
        }
        Command::Remove { name, place } => match place.users()?.remove(name).map_err(Failure::input_error)? {
            true => print([format!("{name} is removed")]),
            false => Err(Failure::input(format!("there is no user {name}"))),
        },
    }
}

/// A line of stdin. It is no flag, which others could see in the list of processes, and a terminal does not show it.
fn password(name: &str) -> Result<Secret> {
    let stdin = std::io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        eprint!("password of {name}: ");
        std::io::stderr().flush().map_err(Failure::environment)?;
        let shown = termios::tcgetattr(&stdin).map_err(Failure::environment)?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(Failure::environment)?;
        let read = stdin.lock().read_line(&mut line);
        termios::tcsetattr(&stdin, OptionalActions::Flush, &shown).map_err(Failure::environment)?;
        eprintln!();
        read.map_err(Failure::environment)?;
    } else {
        stdin.lock().read_line(&mut line).map_err(Failure::environment)?;
    }
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::input(
            "no password came in. Type it, or write it to stdin: towpath users add NAME < FILE",
        ));
    }
    Ok(Secret::new(password))
}
