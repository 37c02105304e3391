//! A private Postgres cluster on a free loopback port, with logical decoding on. It ends with its owner.
//!
//! Postgres refuses to run as root, so as root the cluster belongs to the user `postgres`. Passwords are checked, as in
//! production. The newest installed version is used unless `TOWPATH_PG_BIN` names a folder with another one's programs.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use tokio_postgres::{Client, NoTls};

use crate::{Deadline, Folder, Process, eventually};

/// The role that tests and pipelines use: it may replicate and owns the databases, and is no superuser.
pub const USER: &str = "towpath";
/// Its password.
pub const PASSWORD: &str = "towpath-pass-3141";

const SUPERUSER: &str = "postgres";
const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const PORT_ATTEMPTS: usize = 5;

/// How a cluster is to be.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Whether commits reach the disk. Benchmarks want it; tests, which never cut the power of Postgres, do not.
    pub fsync: bool,
    /// Whether Ctrl-C at the terminal leaves it alone, because its owner stops it.
    pub own_group: bool,
    /// More lines for `postgresql.conf`.
    pub settings: Vec<String>,
    /// The certificate that it shows and its key, when `ssl` is on.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Where its files are kept; the system's place for such otherwise.
    pub parent: Option<PathBuf>,
}

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    process: Mutex<Option<Process>>,
    folder: Option<Folder>,
    owner: Option<(u32, u32)>,
    programs: PathBuf,
    port: u16,
}

/// How to connect to a database of a cluster.
#[derive(Clone, Debug)]
pub struct Login {
    port: u16,
    user: &'static str,
    database: String,
}

impl Login {
    /// Connects.
    pub async fn connect(&self) -> Result<Client> {
        let Self { port, user, database } = self;
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(*port).user(*user).password(PASSWORD).dbname(database);
        let (client, connection) = config.connect(NoTls).await.with_context(|| format!("connecting to {database}"))?;
        // The connection ends when its client is dropped.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub async fn start(options: PostgresOptions) -> Result<Self> {
        let programs = find_programs()?;
        let owner = server_user()?;
        let folder = match &options.parent {
            Some(parent) => Folder::within(parent, "towpath-pg-")?,
            None => Folder::new("towpath-pg-")?,
        };
        if let Some((uid, gid)) = owner {
            chown(folder.path(), Some(uid), Some(gid))?;
        }
        make_cluster(&programs, &folder, owner, &options).await?;
        if let Some(certificate) = &options.certificate {
            present(&folder, owner, certificate)?;
        }
        let (process, port) = serve(&programs, &folder, owner, options.own_group).await?;
        let cluster = Self { process: Mutex::new(Some(process)), folder: Some(folder), owner, programs, port };
        let client = cluster.connect_as(SUPERUSER, "postgres").await?;
        client.batch_execute(&format!("create role {USER} login replication password '{PASSWORD}'")).await?;
        Ok(cluster)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// Ends the server as `signal` does (TERM: when all have gone; INT: fast; QUIT: at once; KILL: as a crash) and starts it
    /// again at the same port.
    pub async fn restart(&self, signal: Signal) -> Result<()> {
        self.halt(signal).await?;
        self.resume().await
    }

    /// Ends the server and leaves it down.
    pub async fn halt(&self, signal: Signal) -> Result<()> {
        let mut process = self.process().take().context("the server is down already")?;
        process.end(signal, STOPPED_WITHIN).await.map(drop)
    }

    /// Starts the server again.
    pub async fn resume(&self) -> Result<()> {
        let folder = self.folder.as_ref().context("the cluster is gone")?;
        let deadline = Deadline::after(READY_WITHIN);
        loop {
            let started = serve_at(&self.programs, folder, self.owner, false, self.port).await?;
            match started {
                Some(process) => {
                    *self.process() = Some(process);
                    return Ok(());
                }
                // What a crash has left takes a moment to go.
                None if !deadline.is_over() => tokio::time::sleep(Duration::from_millis(50)).await,
                None => bail!("Postgres did not start again\n{}", self.log()),
            }
        }
    }

    /// Starts the server again if it has ended by itself.
    pub async fn ensure_running(&self) -> Result<()> {
        let ended = match self.process().as_mut() {
            Some(process) => process.ended()?.is_some(),
            None => true,
        };
        if ended { self.resume().await } else { Ok(()) }
    }

    /// From the next start on it shows this certificate.
    pub fn present(&self, certificate: &(PathBuf, PathBuf)) -> Result<()> {
        present(self.folder.as_ref().context("the cluster is gone")?, self.owner, certificate)
    }

    /// Where its files are.
    pub fn folder(&self) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("server.log")).unwrap_or_default()
    }

    /// How to connect as [`USER`].
    pub fn login(&self, database: &str) -> Login {
        Login { port: self.port, user: USER, database: database.to_owned() }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path of one of its programs, such as `psql`.
    pub fn program(&self, name: &str) -> PathBuf {
        let own = self.programs.join(name);
        if own.exists() { own } else { PathBuf::from(name) }
    }

    /// Makes an empty database that [`USER`] owns.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        let client = self.connect_as(SUPERUSER, "postgres").await?;
        client.batch_execute(&format!("create database \"{name}\" owner {USER}")).await?;
        Ok(())
    }

    /// Connects as [`USER`].
    pub async fn connect(&self, database: &str) -> Result<Client> {
        self.connect_as(USER, database).await
    }

    /// Connects as the superuser.
    pub async fn connect_as_superuser(&self, database: &str) -> Result<Client> {
        self.connect_as(SUPERUSER, database).await
    }

    /// Stops it in an orderly way and removes its files.
    pub async fn stop(self) -> Result<()> {
        let process = self.process().take();
        match process {
            Some(mut process) => process.end(Signal::INT, STOPPED_WITHIN).await.map(drop),
            None => Ok(()),
        }
    }

    async fn connect_as(&self, user: &'static str, database: &str) -> Result<Client> {
        Login { port: self.port, user, database: database.to_owned() }.connect().await
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The server goes first: it ends at once on SIGQUIT, and its files can be removed only then.
        drop(self.process().take());
        if let Some(folder) = self.folder.take() {
            let _ = folder.remove();
        }
    }
}

/// As root, the user and group that the server runs as.
fn server_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let entry = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .context("there is no user postgres to run the server")?;
    let mut ids = entry.split(':').skip(2).map(str::parse::<u32>);
    match (ids.next(), ids.next()) {
        (Some(Ok(uid)), Some(Ok(gid))) => Ok(Some((uid, gid))),
        _ => bail!("/etc/passwd holds no ids for postgres"),
    }
}

fn present(folder: &Folder, owner: Option<(u32, u32)>, (certificate, key): &(PathBuf, PathBuf)) -> Result<()> {
    for (from, name) in [(certificate, "server.crt"), (key, "server.key")] {
        let path = folder.join("data").join(name);
        std::fs::copy(from, &path).with_context(|| format!("copying {}", from.display()))?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        if let Some((uid, gid)) = owner {
            chown(&path, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

fn find_programs() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TOWPATH_PG_BIN") {
        return Ok(PathBuf::from(named));
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("postgres").exists())
        .collect();
    found.sort();
    if let Some((_, programs)) = found.pop() {
        return Ok(programs);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
        .ok_or_else(|| anyhow!("no Postgres server is installed: apt-get install postgresql, or set TOWPATH_PG_BIN"))
}

fn command_as(program: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env_remove("PGDATA");
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    command
}

async fn make_cluster(
    programs: &Path,
    folder: &Folder,
    owner: Option<(u32, u32)>,
    options: &PostgresOptions,
) -> Result<()> {
    let password_file = folder.join("password");
    std::fs::write(&password_file, PASSWORD)?;
    let mut command = command_as(&programs.join("initdb"), owner);
    command.arg("-D").arg(folder.join("data")).arg(format!("--pwfile={}", password_file.display()));
    command.args([
        "-U",
        SUPERUSER,
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    ]);
    let mut initdb = Process::start("initdb", &mut command, &folder.join("initdb.log"))?;
    let status = initdb.wait(READY_WITHIN).await?;
    if !status.success() {
        bail!("initdb failed\n{}", initdb.last_output());
    }
    let mut settings = format!(
        "\nlisten_addresses='127.0.0.1'\nunix_socket_directories='{}'\nwal_level=logical\nmax_wal_senders=60\n\
         max_replication_slots=60\nmax_connections=200\nshared_buffers=256MB\nmax_wal_size=4GB\ncheckpoint_timeout=30min\n\
         log_min_messages=warning\nfsync={}\n",
        folder.path().display(),
        if options.fsync { "on" } else { "off" },
    );
    for line in &options.settings {
        writeln!(settings, "{line}")?;
    }
    let file = folder.join("data/postgresql.conf");
    let standard = std::fs::read_to_string(&file)?;
    std::fs::write(&file, standard + &settings)?;
    Ok(())
}

/// Starts the server. The port is free when it is chosen and may be taken by another when it is used: then another is tried.
async fn serve(programs: &Path, folder: &Folder, owner: Option<(u32, u32)>, own_group: bool) -> Result<(Process, u16)> {
    for _ in 0..PORT_ATTEMPTS {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        if let Some(process) = serve_at(programs, folder, owner, own_group, port).await? {
            return Ok((process, port));
        }
        let why = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
        if !why.contains("Address already in use") {
            bail!("Postgres did not start\n{why}");
        }
    }
    bail!("no free port for Postgres after {PORT_ATTEMPTS} attempts")
}

/// Starts the server at a port; none when it ends instead of becoming ready.
async fn serve_at(
    programs: &Path,
    folder: &Folder,
    owner: Option<(u32, u32)>,
    own_group: bool,
    port: u16,
) -> Result<Option<Process>> {
    let mut command = command_as(&programs.join("postgres"), owner);
    command.arg("-D").arg(folder.join("data")).arg("-p").arg(port.to_string());
    if own_group {
        command.process_group(0);
    }
    let mut process = Process::start("postgres", &mut command, &folder.join("server.log"))?.ends_with(Signal::QUIT);
    let (state_file, pid) = (folder.join("data/postmaster.pid"), process.pid().to_string());
    let ready = eventually("Postgres to be ready", READY_WITHIN, || {
        let ended = process.ended();
        let state = std::fs::read_to_string(&state_file).unwrap_or_default();
        let own = state.lines().next() == Some(pid.as_str());
        async move {
            if ended?.is_some() {
                return Ok(false);
            }
            // The eighth line is the one that pg_ctl waits for, too; a crash may have left another server's file.
            let is_ready = own && state.lines().nth(7).is_some_and(|line| line.trim() == "ready");
            is_ready.then_some(true).ok_or_else(|| anyhow!("it is still starting"))
        }
    })
    .await?;
    Ok(ready.then_some(process))
}
