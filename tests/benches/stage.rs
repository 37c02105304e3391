//! What a measurement stands on: a Postgres that keeps its word about fsync, a folder, and a worker on it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tokio::time::Instant;
use tokio_postgres::Client;
use towpath_tests::{Folder, PASSWORD, Postgres, PostgresOptions, Rest, USER, Worker, WorkerOptions};

/// The database of the measured table.
pub(crate) const DATABASE: &str = "bench";
const POLL: Duration = Duration::from_millis(3);
const LIMIT: Duration = Duration::from_secs(600);

/// The topic of the measured table.
pub(crate) const TOPIC: &str = "bench.public.items";

/// About 200 bytes of column data a row.
const TABLE: &str = "create table public.items (
  id bigint primary key, name text not null, email text not null, city text, note text, qty int not null, price_cents int not null,
  active boolean not null, sent_us bigint not null, created_at timestamptz not null)";

/// Columns of a row numbered `i`; the time is the moment at which it is made.
pub(crate) const ROW: &str = "i, 'customer-' || lpad(i::text, 10, '0'), 'user' || i || '@mail.example.com', 'Lisbon', \
  md5(i::text) || md5((i * 7)::text) || md5((i * 13)::text), i % 1000, (i * 37) % 100000, i % 2 = 0, \
  (extract(epoch from clock_timestamp()) * 1e6)::bigint, now()";

/// Servers and files of a measurement.
pub(crate) struct Stage {
    pub(crate) postgres: Postgres,
    pub(crate) client: Client,
    pub(crate) folder: Folder,
    pub(crate) options: WorkerOptions,
}

impl Stage {
    /// Starts Postgres with a table of so many rows.
    pub(crate) async fn open(rows: u64) -> Result<Self> {
        let settings = vec!["shared_buffers=1GB".to_owned(), "max_wal_size=8GB".to_owned()];
        let postgres = Postgres::start(PostgresOptions { fsync: true, settings, ..PostgresOptions::default() }).await?;
        postgres.create_database(DATABASE).await?;
        let client = postgres.connect(DATABASE).await?;
        client.batch_execute(TABLE).await?;
        client.batch_execute(&format!("insert into items select {ROW} from generate_series(1, {rows}) i")).await?;
        let superuser = postgres.connect_as_superuser(DATABASE).await?;
        for settle in ["vacuum analyze items", "checkpoint"] {
            superuser.batch_execute(settle).await?;
        }
        let folder = Folder::new("towpath-bench-")?;
        let mut options = WorkerOptions::within(folder.path());
        options.environment.insert("PGPASSWORD".to_owned(), PASSWORD.to_owned());
        options.arguments.push("--quiet".to_owned());
        std::fs::create_dir_all(&options.pipelines)?;
        Ok(Self { postgres, client, folder, options })
    }

    /// Writes a file into the pipelines folder.
    pub(crate) fn pipeline(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.options.pipelines.join(name), text).with_context(|| format!("writing {name}"))
    }

    /// The source of the measured table.
    pub(crate) fn capture(&self, more: &str) -> Result<()> {
        self.capture_tables("public.items", more)
    }

    /// A source of other tables.
    pub(crate) fn capture_tables(&self, tables: &str, more: &str) -> Result<()> {
        let text = format!(
            "connector.class: postgres-cdc\ntopic.prefix: bench\ndatabase.hostname: 127.0.0.1\ndatabase.port: {}\n\
             database.user: {USER}\ndatabase.password: ${{env:PGPASSWORD}}\ndatabase.dbname: {DATABASE}\n\
             table.include.list: {tables}\npublication.autocreate.mode: filtered\nslot.name: bench\n{more}",
            self.postgres.port()
        );
        self.pipeline("items-cdc.yaml", &text)
    }

    /// Inserts about so many rows beyond those of the start, in equal transactions, and gives how many.
    pub(crate) async fn write_backlog(&self, rows: u64, rows_a_transaction: u64) -> Result<u64> {
        let transactions = rows / rows_a_transaction;
        let first = "(select max(id) from items) + 1";
        let insert = format!(
            "do $$ declare first bigint := {first}; begin for k in 0..{transactions} - 1 loop insert into items select {ROW} \
             from generate_series(first + k * {rows_a_transaction}, first + (k + 1) * {rows_a_transaction} - 1) i; \
             commit; end loop; end $$"
        );
        self.client.batch_execute(&insert).await?;
        Ok(transactions * rows_a_transaction)
    }

    /// Starts the worker.
    pub(crate) async fn worker(&self) -> Result<Worker> {
        Worker::start(&self.options).await
    }

    /// Runs one of Postgres's own programs against the database, its output thrown away, and gives the seconds it took.
    pub(crate) async fn program(&self, name: &str, arguments: &[&str]) -> Result<f64> {
        let mut command = tokio::process::Command::new(self.postgres.program(name));
        command
            .args(["-h", "127.0.0.1", "-p", &self.postgres.port().to_string(), "-U", USER, "-d", DATABASE])
            .args(arguments);
        command.env("PGPASSWORD", PASSWORD).stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        let started = Instant::now();
        let output = command.kill_on_drop(true).output().await.with_context(|| format!("running {name}"))?;
        ensure!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(started.elapsed().as_secs_f64())
    }

    /// Ends Postgres and removes everything.
    pub(crate) async fn close(self) -> Result<()> {
        drop(self.client);
        self.postgres.stop().await?;
        self.folder.remove()
    }
}

/// How many records a topic holds.
pub(crate) async fn count(rest: &Rest, topic: &str) -> Result<u64> {
    let (code, answer) = rest.send(reqwest::Method::GET, &format!("/v1/topics/{topic}"), None).await?;
    if code == 404 {
        return Ok(0);
    }
    answer
        .get("records")
        .and_then(Value::as_u64)
        .ok_or_else(|| anyhow!("GET /v1/topics/{topic} answered {code}: {answer}"))
}

/// Waits until `measure` reaches `goal` and gives how fast it rose, from the moment at which it first moved: a unit a second.
pub(crate) async fn reach<F, Fut>(what: &str, goal: u64, mut measure: F) -> Result<f64>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<u64>>,
{
    let begun = Instant::now();
    let at_rest = measure().await?;
    let mut moved = None;
    loop {
        let now = measure().await?;
        if now > at_rest && moved.is_none() {
            moved = Some((Instant::now(), now));
        }
        if now >= goal {
            // What had come before the first look counts for neither side; if all had, the whole wait counts.
            let (from, count) = moved.filter(|(_, count)| *count < now).unwrap_or((begun, at_rest));
            return Ok((now - count) as f64 / from.elapsed().as_secs_f64());
        }
        ensure!(begun.elapsed() < LIMIT, "{what}: {now} of {goal} after {} s", LIMIT.as_secs());
        tokio::time::sleep(POLL).await;
    }
}
