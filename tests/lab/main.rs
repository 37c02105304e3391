//! `towpath-lab`: gives a command a private Postgres, an HTTP receiver and an S3 server, and takes them away again.
//!
//! The examples run inside it, so that they need nothing prepared by hand. What the servers are called stands in the command's
//! environment: `PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE`, `HOOKS_URL` and `HOOKS_LOG`, `S3_URL S3_BUCKET AWS_ACCESS_KEY_ID
//! AWS_SECRET_ACCESS_KEY`, for Kafka with Connect and Debezium `KAFKA_BOOTSTRAP CONNECT_URL KAFKA_PID CONNECT_PID KAFKA_LIBS`, and
//! `WORK`, a scratch folder. It ends when the command ends, with the command's exit code.

mod hooks;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use towpath_tests::{
    ACCESS_KEY, Folder, PASSWORD, Peers, PeersOptions, Postgres, PostgresOptions, S3Server, SECRET_KEY, USER,
};

const DATABASE: &str = "shop";
const BUCKET: &str = "lake";

/// Runs a command with private servers.
#[derive(Debug, Parser)]
#[command(name = "towpath-lab")]
struct Arguments {
    /// Start a Postgres cluster with the database `shop`.
    #[arg(long)]
    postgres: bool,
    /// Run this SQL file in it before the command starts.
    #[arg(long, requires = "postgres")]
    load: Vec<PathBuf>,
    /// Run this SQL file again and again while the command runs.
    #[arg(long, requires = "postgres")]
    repeat: Option<PathBuf>,
    /// Time between two runs of the repeated file.
    #[arg(long, default_value_t = 200)]
    repeat_every_ms: u64,
    /// Start an HTTP server that writes what it is sent to HOOKS_LOG, one line a request.
    #[arg(long)]
    hooks: bool,
    /// Answer 422 to requests whose body matches this pattern.
    #[arg(long, requires = "hooks")]
    hooks_refuse: Option<regex::Regex>,
    /// Answer 503 to the first requests.
    #[arg(long, requires = "hooks", default_value_t = 0)]
    hooks_fail_first: usize,
    /// Start an S3 server with the bucket `lake`.
    #[arg(long)]
    s3: bool,
    /// Start Apache Kafka and a Connect worker with Debezium, which `make peers` fetches.
    #[arg(long)]
    peers: bool,
    /// The largest heap of that worker.
    #[arg(long, requires = "peers", default_value_t = PeersOptions::default().worker_heap_mb)]
    peers_heap_mb: u32,
    /// Keep everything in this folder, and leave it there; a scratch folder otherwise, which is removed.
    #[arg(long)]
    work: Option<PathBuf>,
    /// The command with its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("towpath-lab: {error:#}");
            ExitCode::from(3)
        }
    }
}

async fn run(arguments: Arguments) -> Result<ExitCode> {
    let scratch = match &arguments.work {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            None
        }
        None => Some(Folder::new("towpath-lab-")?),
    };
    let work = match (&arguments.work, &scratch) {
        (Some(folder), _) => std::path::absolute(folder)?,
        (None, Some(scratch)) => scratch.path().to_owned(),
        (None, None) => std::env::temp_dir(),
    };
    let (program, rest) = arguments.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(rest).env("WORK", &work).env("TOWPATH_LAB", "1").kill_on_drop(true);

    let hooks = if arguments.hooks { Some(hooks::start(&arguments, &work).await?) } else { None };
    if let Some(hooks) = &hooks {
        command.env("HOOKS_URL", hooks.url()).env("HOOKS_LOG", hooks.log());
    }
    let s3 = if arguments.s3 { Some(S3Server::start(&work.join("s3"), BUCKET).await?) } else { None };
    if let Some(s3) = &s3 {
        command.env("S3_URL", s3.url()).env("S3_BUCKET", BUCKET).env("S3_ROOT", s3.root());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    }
    let postgres = if arguments.postgres { Some(prepare_postgres(&arguments, &mut command).await?) } else { None };
    let peers = if arguments.peers { Some(start_peers(&arguments, &mut command).await?) } else { None };

    let code = supervise(command, &arguments, postgres.as_ref()).await?;
    drop(hooks);
    if let Some(peers) = peers {
        peers.stop().await?;
    }
    if let Some(postgres) = postgres {
        postgres.stop().await?;
    }
    if let Some(scratch) = scratch {
        scratch.remove()?;
    }
    Ok(code)
}

async fn prepare_postgres(arguments: &Arguments, command: &mut Command) -> Result<Postgres> {
    let postgres = Postgres::start(PostgresOptions { own_group: true, ..PostgresOptions::default() }).await?;
    postgres.create_database(DATABASE).await?;
    let client = postgres.connect(DATABASE).await?;
    for file in &arguments.load {
        let sql = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        client.batch_execute(&sql).await.with_context(|| format!("running {}", file.display()))?;
    }
    command.env("PGHOST", "127.0.0.1").env("PGPORT", postgres.port().to_string());
    command.env("PGUSER", USER).env("PGPASSWORD", PASSWORD).env("PGDATABASE", DATABASE);
    Ok(postgres)
}

async fn start_peers(arguments: &Arguments, command: &mut Command) -> Result<Peers> {
    let options = PeersOptions { worker_heap_mb: arguments.peers_heap_mb, own_group: true, ..PeersOptions::default() };
    let peers = Peers::start(&options).await?;
    command.env("KAFKA_BOOTSTRAP", peers.bootstrap()).env("CONNECT_URL", peers.rest().base());
    command.env("KAFKA_PID", peers.broker_pid().to_string()).env("CONNECT_PID", peers.worker_pid().to_string());
    command.env("KAFKA_LIBS", peers.libraries());
    Ok(peers)
}

/// Runs the command to its end. Ctrl-C is the command's to answer; a terminal sends it to both.
async fn supervise(mut command: Command, arguments: &Arguments, postgres: Option<&Postgres>) -> Result<ExitCode> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut child = command.spawn().with_context(|| format!("starting {}", arguments.command.join(" ")))?;
    let writer = repeat(arguments, postgres);
    tokio::pin!(writer);
    let mut writes = arguments.repeat.is_some();
    loop {
        tokio::select! {
            status = child.wait() => {
                let code = status?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
                return Ok(ExitCode::from(code));
            }
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {
                let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
                if let Some(id) = id {
                    rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
                }
            }
            written = &mut writer, if writes => {
                // The command may have ended the server's use on purpose; what it makes of that is its own exit code.
                if let Err(error) = written {
                    eprintln!("towpath-lab: {error:#}");
                }
                writes = false;
            }
        }
    }
}

async fn repeat(arguments: &Arguments, postgres: Option<&Postgres>) -> Result<()> {
    let (Some(file), Some(postgres)) = (&arguments.repeat, postgres) else { return Ok(()) };
    ensure!(arguments.repeat_every_ms > 0, "--repeat-every-ms must be positive");
    let sql = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let client = postgres.connect(DATABASE).await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(arguments.repeat_every_ms));
    loop {
        ticks.tick().await;
        client.batch_execute(&sql).await.with_context(|| format!("running {}", file.display()))?;
    }
}
