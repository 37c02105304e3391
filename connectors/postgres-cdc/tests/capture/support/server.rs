//! A private PostgreSQL on a free port, stopped and removed when the last test lets go of it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tempfile::TempDir;
use towpath_model::SystemClock;
use towpath_postgres_cdc::network::{Tls, Verify};
use towpath_postgres_cdc::wire::{Connection, Login, Row, SslMode};

use super::native::Native;

pub(crate) struct Server {
    folder: TempDir,
    pub(crate) port: u16,
}

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static NAMES: AtomicU32 = AtomicU32::new(0);

/// A database of its own on the shared server.
pub(crate) struct Database {
    pub(crate) server: Arc<Server>,
    pub(crate) name: String,
    connection: Mutex<Connection>,
}

impl Database {
    pub(crate) fn new() -> Self {
        let server = {
            let mut shared = SHARED.lock().expect("unpoisoned");
            shared.upgrade().unwrap_or_else(|| {
                let server = Arc::new(Server::start(""));
                *shared = Arc::downgrade(&server);
                server
            })
        };
        Self::on(server)
    }

    /// One on a server of its own, with further settings.
    pub(crate) fn with(settings: &str) -> Self {
        Self::on(Arc::new(Server::start(settings)))
    }

    fn on(server: Arc<Server>) -> Self {
        let name = format!("test_{}", NAMES.fetch_add(1, Ordering::Relaxed));
        server.connect("postgres").query(&format!("CREATE DATABASE {name}")).expect("a database");
        let connection = Mutex::new(server.connect(&name));
        Self { server, name, connection }
    }

    /// Runs SQL; several statements without a transaction around them are one transaction.
    pub(crate) fn run(&self, sql: &str) -> Vec<Row> {
        self.connection.lock().expect("unpoisoned").query(sql).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    /// One value.
    pub(crate) fn value(&self, sql: &str) -> String {
        self.run(sql)[0][0].clone().unwrap_or_default()
    }

    /// Another session.
    pub(crate) fn session(&self) -> Connection {
        self.server.connect(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Slots of this database would keep the log of all others.
        let sql = format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '{}' AND active_pid IS NOT NULL",
            self.name
        );
        // A statement that failed has poisoned it; the test's own panic is what should be seen.
        let connection = self.connection.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = connection.query(&sql);
        for _ in 0..100 {
            let sql = format!(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '{}'",
                self.name
            );
            if connection.query(&sql).is_ok() {
                break;
            }
        }
    }
}

impl Server {
    fn start(further: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let own = Command::new("chown").arg("-R").arg("postgres").arg(folder.path()).status();
        assert!(own.is_ok(), "chown runs");
        let port =
            TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port();
        postgres("initdb", &["-N", "-A", "trust", "-U", "postgres", "-D", &text(&data)]);
        let settings = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nwal_level = logical\nfsync = off\n\
             max_replication_slots = 40\nmax_wal_senders = 40\nmax_connections = 100\nwal_sender_timeout = 60s\nmax_prepared_transactions = 20\n{further}",
            text(folder.path())
        );
        std::fs::write(data.join("postgresql.auto.conf"), settings).expect("settings");
        // Roles of these names log in with their passwords.
        let access = "host all scram 127.0.0.1/32 scram-sha-256\nhost all md5 127.0.0.1/32 md5\n\
            host all clear 127.0.0.1/32 password\nhost all all 127.0.0.1/32 trust\nlocal all all trust\n";
        std::fs::write(data.join("pg_hba.conf"), access).expect("access rules");
        postgres("pg_ctl", &["-w", "-D", &text(&data), "-l", &text(&folder.path().join("log")), "start"]);
        Self { folder, port }
    }

    pub(crate) fn login(&self, database: &str) -> Login {
        Login {
            host: "127.0.0.1".into(),
            port: self.port,
            user: "postgres".into(),
            password: None,
            database: database.into(),
            ssl: SslMode::Disable,
            tls: Tls { verify: Verify::None, roots_key: None, certificate_key: None, private_key_key: None },
            application_name: "test".into(),
            timeout: Duration::from_secs(60),
        }
    }

    pub(crate) fn connect(&self, database: &str) -> Connection {
        Connection::open(&Native::default(), &self.login(database), false, Arc::new(SystemClock::default()))
            .expect("a session")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        postgres("pg_ctl", &["-w", "-m", "immediate", "-D", &text(&self.folder.path().join("data")), "stop"]);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Where the server's programs are: `TOWPATH_PG_BIN`, or those of the newest version that is installed.
fn programs() -> PathBuf {
    if let Some(named) = std::env::var_os("TOWPATH_PG_BIN") {
        return named.into();
    }
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed, or TOWPATH_PG_BIN names it");
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.flatten().map(|entry| entry.path()).max_by_key(number);
    newest.expect("a version is installed").join("bin")
}

fn postgres(program: &str, arguments: &[&str]) {
    let path = programs().join(program);
    let output =
        Command::new("runuser").args(["-u", "postgres", "--"]).arg(&path).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
