//! A worker with a healthy pipeline, from a table of Postgres to an HTTP endpoint, and with hostile plugins at hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use tokio_postgres::Client;
use towpath_tests::{
    Folder, PASSWORD, Postgres, Receiver, Usage, Worker, WorkerOptions, eventually, tail, towpath_binary,
};

use crate::runner::Servers;

/// Generous: what is asserted is that rows go on arriving, not how fast the machine is.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);
const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// The components that misbehave.
pub(super) const COMPONENTS: [&str; 3] =
    ["towpath_test_guests.wasm", "examples/hostile_sink.wasm", "examples/hostile_transform.wasm"];

/// The worker and what it works for.
pub(super) struct Scene {
    pub(super) folder: Folder,
    pub(super) options: WorkerOptions,
    worker: Option<Worker>,
    postgres: Arc<Postgres>,
    client: Client,
    database: String,
    receiver: Receiver,
    rows: i64,
}

/// A component that the build made.
pub(super) fn component(name: &str) -> Result<PathBuf> {
    let program = towpath_binary()?;
    let target = program.parent().and_then(Path::parent).context("the program has no target folder")?;
    let path = target.join("wasm32-wasip2/release").join(name);
    ensure!(path.exists(), "{} is missing; run make components", path.display());
    Ok(path)
}

impl Scene {
    /// Starts the healthy pipeline, with these components in the plugins folder.
    pub(super) async fn open(servers: &Servers, database: &str, components: &[&str], flags: &[&str]) -> Result<Self> {
        let folder = Folder::new("towpath-hostile-")?;
        let postgres = servers.postgres().await?;
        postgres.create_database(database).await?;
        let client = postgres.connect(database).await?;
        client.batch_execute("create table public.orders (id bigint primary key)").await?;
        let receiver = Receiver::start().await?;
        let mut options = WorkerOptions::within(folder.path());
        options.arguments = flags.iter().map(|flag| (*flag).to_owned()).collect();
        options.environment.insert("PG_PASSWORD".into(), PASSWORD.into());
        let plugins = options.pipelines.join("plugins");
        std::fs::create_dir_all(&plugins)?;
        for name in components {
            let file = Path::new(name).file_name().context("a component has a name")?;
            std::fs::copy(component(name)?, plugins.join(file))?;
        }
        let source = format!(
            "connector.class: postgres-cdc\ntopic.prefix: shop\ntable.include.list: [public.orders]\nslot.name: {database}\n\
             publication.autocreate.mode: filtered\ndatabase: {{hostname: 127.0.0.1, port: {}, user: {}, \
             password: \"${{env:PG_PASSWORD}}\", dbname: {database}}}\n",
            postgres.port(),
            towpath_tests::USER,
        );
        std::fs::write(options.pipelines.join("orders-cdc.yaml"), source)?;
        let sink =
            format!("connector.class: http-sink\ntopics: shop.public.orders\nhttp.url: {}/orders\n", receiver.url());
        std::fs::write(options.pipelines.join("orders-hooks.yaml"), sink)?;
        let database = database.to_owned();
        let mut scene = Self { folder, options, worker: None, postgres, client, database, receiver, rows: 0 };
        scene.start_worker().await?;
        Ok(scene)
    }

    /// Starts the worker.
    pub(super) async fn start_worker(&mut self) -> Result<()> {
        let worker = Worker::start(&self.options).await?;
        worker.running("orders-cdc", ARRIVES_WITHIN).await?;
        self.worker = Some(worker);
        Ok(())
    }

    /// Lets the worker drain and end.
    pub(super) async fn stop_worker(&mut self) -> Result<()> {
        let worker = self.worker.take().context("the worker has not been started")?;
        let status = worker.stop().await?;
        ensure!(status.success(), "the worker ended with {status}; everything is kept in {}", self.path());
        Ok(())
    }

    /// The worker.
    pub(super) fn worker(&self) -> Result<&Worker> {
        self.worker.as_ref().context("the worker has not been started")
    }

    /// Writes the file of a connector; it appears at once.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let fresh = self.options.pipelines.join(format!(".{name}.new"));
        std::fs::write(&fresh, text)?;
        Ok(std::fs::rename(fresh, self.options.pipelines.join(format!("{name}.yaml")))?)
    }

    /// A row goes all the way while whatever else happens.
    pub(super) async fn row_arrives(&mut self) -> Result<()> {
        self.rows += 1;
        let row = self.rows;
        self.client.execute("insert into public.orders values ($1)", &[&row]).await?;
        let wanted = format!("\"after\":{{\"id\":{row}}}");
        let arrived = || async {
            let accepted = self.receiver.accepted();
            let arrived = accepted.iter().rev().any(|body| String::from_utf8_lossy(body).contains(&wanted));
            arrived.then_some(()).ok_or_else(|| anyhow!("{} requests came", accepted.len()))
        };
        let arrived = eventually(&format!("row {row} at the endpoint"), ARRIVES_WITHIN, arrived).await;
        arrived.with_context(|| format!("the healthy pipeline stands still; everything is kept in {}", self.path()))
    }

    /// Rows arrive until `settled`, at least one.
    pub(super) async fn rows_arrive_until(
        &mut self,
        what: &str,
        settled: impl AsyncFn(&Self) -> Result<()>,
    ) -> Result<()> {
        let deadline = towpath_tests::Deadline::after(SETTLES_WITHIN);
        loop {
            self.row_arrives().await?;
            match settled(self).await {
                Ok(()) => return Ok(()),
                Err(why) if deadline.is_over() => {
                    return Err(
                        why.context(format!("waited in vain for {what}; everything is kept in {}", self.path()))
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// What Connect's status says of a connector: its state and trace, or its task's where the task has failed.
    pub(super) async fn state(&self, name: &str) -> Result<(String, String)> {
        let status = self.worker()?.rest().get(&format!("/connectors/{name}/status")).await?;
        let part = |part: Option<&Value>| {
            let text = |key| part.and_then(|part| part.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned();
            (text("state"), text("trace"))
        };
        let connector = part(status.get("connector"));
        let task = part(status.get("tasks").and_then(|tasks| tasks.get(0)));
        Ok(if connector.0 == "FAILED" || task.0.is_empty() { connector } else { task })
    }

    /// What the worker uses of the machine.
    pub(super) fn usage(&self) -> Result<Usage> {
        self.worker()?.usage()
    }

    /// What the worker printed.
    pub(super) fn printed(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.options.output)?).into_owned())
    }

    /// Where everything is kept.
    pub(super) fn path(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Every row is in the log once; the worker drains; all is removed.
    pub(super) async fn close(mut self) -> Result<()> {
        self.row_arrives().await?;
        let records = tail(&self.options.data_dir, "shop.public.orders").await?;
        ensure!(records.len() as i64 == self.rows, "{} records of {} rows", records.len(), self.rows);
        self.stop_worker().await?;
        let superuser = self.postgres.connect_as_superuser("postgres").await?;
        superuser.execute("select pg_drop_replication_slot($1)", &[&self.database]).await?;
        self.folder.remove()
    }
}
