//! One captured table and a worker, for tests of what may go wrong between the two.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use tokio_postgres::Client;
use towpath_tests::{
    Folder, LogRecord, PASSWORD, Postgres, PostgresOptions, USER, Worker, WorkerOptions, eventually, tail,
    towpath_binary,
};

/// The slot, the publication and the connector bear one name.
pub(crate) const NAME: &str = "capture";
pub(crate) const TOPIC: &str = "shop.public.orders";
const DATABASE: &str = "shop";
const SAID_WITHIN: Duration = Duration::from_secs(180);

/// A table `public.orders` in a server of its own, and how a worker is to capture it.
pub(crate) struct Capture {
    folder: Folder,
    pub(crate) postgres: Postgres,
    pub(crate) client: Client,
    pub(crate) options: WorkerOptions,
    keys: BTreeMap<String, String>,
}

impl Capture {
    /// A server with these settings, and a table made by this SQL. No worker runs yet.
    pub(crate) async fn open(settings: &[&str], table: &str) -> Result<Self> {
        let settings = settings.iter().map(|line| (*line).to_owned()).collect();
        let postgres = Postgres::start(PostgresOptions { settings, ..PostgresOptions::default() }).await?;
        postgres.create_database(DATABASE).await?;
        let client = postgres.connect(DATABASE).await?;
        client.batch_execute(table).await?;
        let folder = Folder::new("towpath-capture-")?;
        let mut options = WorkerOptions::within(folder.path());
        options.environment.insert("PG_PASSWORD".to_owned(), PASSWORD.to_owned());
        std::fs::create_dir_all(&options.pipelines)?;
        let port = postgres.port().to_string();
        let keys = [
            ("connector.class", "postgres-cdc"),
            ("topic.prefix", "shop"),
            ("table.include.list", "public.orders"),
            ("slot.name", NAME),
            ("publication.name", NAME),
            ("publication.autocreate.mode", "filtered"),
            ("database.hostname", "127.0.0.1"),
            ("database.port", &port),
            ("database.user", USER),
            ("database.password", "${env:PG_PASSWORD}"),
            ("database.dbname", DATABASE),
        ];
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let capture = Self { folder, postgres, client, options, keys };
        capture.write()?;
        Ok(capture)
    }

    /// Changes keys of the connector; a worker that runs takes them over.
    pub(crate) fn set(&mut self, keys: &[(&str, &str)]) -> Result<()> {
        self.keys.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self.write()
    }

    /// Has the worker find the database there.
    pub(crate) fn go_through(&mut self, address: SocketAddr) -> Result<()> {
        self.set(&[("database.port", &address.port().to_string())])
    }

    fn write(&self) -> Result<()> {
        let text: String = self.keys.iter().map(|(key, value)| format!("{key}: \"{value}\"\n")).collect();
        let fresh = self.options.pipelines.join(format!(".{NAME}.new"));
        std::fs::write(&fresh, text)?;
        Ok(std::fs::rename(fresh, self.options.pipelines.join(format!("{NAME}.yaml")))?)
    }

    /// Where everything is kept.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the topic holds.
    pub(crate) async fn records(&self) -> Result<Vec<LogRecord>> {
        tail(&self.options.data_dir, TOPIC).await
    }

    /// Makes an order and waits until it is in the log.
    pub(crate) async fn captures(&self, order: i64) -> Result<()> {
        self.client.batch_execute(&format!("insert into public.orders (id) values ({order})")).await?;
        let key = format!("{{\"id\":{order}}}");
        eventually(&format!("order {order} in the log"), SAID_WITHIN, || async {
            let records = self.records().await?;
            let arrived = records.iter().any(|record| record.key.as_deref() == Some(&key));
            ensure!(arrived, "{} records are there", records.len());
            Ok(())
        })
        .await
    }

    /// Ends the test's own session and begins another.
    pub(crate) async fn connect_anew(&mut self) -> Result<()> {
        self.client = self.postgres.connect(DATABASE).await?;
        Ok(())
    }

    /// One value that the server answers with.
    pub(crate) async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> Result<T> {
        Ok(self.client.query_one(sql, &[]).await.with_context(|| sql.to_owned())?.try_get(0)?)
    }

    /// Who reads from the slot.
    pub(crate) async fn walsender(&self) -> Result<Option<i32>> {
        self.value(&format!("select max(active_pid) from pg_replication_slots where slot_name = '{NAME}'")).await
    }

    /// Waits until a worker says all of this of the connector, in one breath.
    pub(crate) async fn is_said(&self, worker: &Worker, words: &[&str]) -> Result<()> {
        eventually(&format!("{words:?} to be said"), SAID_WITHIN, || async {
            let said = worker.rest().get(&format!("/v1/connectors/{NAME}")).await?;
            says_all(&readable(&said), words)
        })
        .await
    }

    /// The connector and its task must be RUNNING.
    pub(crate) async fn is_running(&self, worker: &Worker) -> Result<()> {
        worker.running(NAME, SAID_WITHIN).await
    }

    /// `towpath check` must end with this code and say all of this.
    pub(crate) fn check(&self, code: i32, words: &[&str]) -> Result<()> {
        let mut command = Command::new(towpath_binary()?);
        command.arg("check").arg(&self.options.pipelines).envs(&self.options.environment);
        let output = command.output().context("running towpath check")?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.code() == Some(code), "towpath check ended with {}: {said}", output.status);
        says_all(&unfolded(&said), words)
    }

    /// Connect's validation must find this many errors and say all of this.
    pub(crate) async fn validate(&self, worker: &Worker, errors: u64, words: &[&str]) -> Result<()> {
        let literal = [("name", NAME), ("database.password", PASSWORD)];
        let literal = literal.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let keys = self.keys.clone().into_iter().chain(literal);
        let body = Value::Object(keys.map(|(key, value)| (key, Value::String(value))).collect::<Map<_, _>>());
        let path = "/connector-plugins/postgres-cdc/config/validate";
        let (code, answer) = worker.rest().send(reqwest::Method::PUT, path, Some(&body)).await?;
        ensure!(code == 200, "{path} answered {code}: {answer}");
        let found = answer.get("error_count").and_then(Value::as_u64);
        ensure!(found == Some(errors), "{found:?} errors: {}", readable(&answer));
        says_all(&readable(&answer), words)
    }

    /// Removes everything.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { folder, postgres, client, .. } = self;
        drop(client);
        postgres.stop().await?;
        folder.remove()
    }
}

/// The texts of a JSON value as they were before they were quoted.
fn readable(value: &Value) -> String {
    value.to_string().replace("\\\"", "\"")
}

/// Text without the line breaks that a terminal needs.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// All of the words must be in what is said.
pub(crate) fn says_all(said: &str, words: &[&str]) -> Result<()> {
    let missing: Vec<&&str> = words.iter().filter(|words| !said.contains(**words)).collect();
    ensure!(missing.is_empty(), "{missing:?} is not in {said}");
    Ok(())
}
