//! Where the worker is killed: a busy shop in a Postgres of its own, and both sinks.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio_postgres::Client;
use towpath_tests::{
    ACCESS_KEY, Folder, Holes, PASSWORD, Postgres, PostgresOptions, Receiver, S3Server, SECRET_KEY, Shop, ShopOptions,
    USER, Worker, WorkerOptions, copy_pipelines, eventually, objects, tail,
};

use super::oracles;

const DATABASE: &str = "shop";
const BUCKET: &str = "lake";
const RECOVERED_WITHIN: Duration = Duration::from_secs(180);
const UPHEAVAL_PAUSE: Duration = Duration::from_millis(300);
const DRAINED_WITHIN: Duration = Duration::from_secs(180);
const LAST_ORDER: &str =
    "insert into public.orders (id, writer, customer, qty, price, placed_at) values (-1, -1, 'the last', 1, 0, now())";

/// The names of what is captured.
pub(super) const TOPICS: [&str; 3] = ["shop.public.orders", "shop.public.stock", "shop.public.visits"];

/// A shop with its pipelines.
pub(crate) struct Scene {
    folder: Folder,
    postgres: Arc<Postgres>,
    client: Client,
    shop: Shop,
    shop_options: ShopOptions,
    receiver: Receiver,
    s3: S3Server,
    options: WorkerOptions,
    /// Orders that were made to see whether they arrive.
    marks: AtomicI64,
}

impl Scene {
    /// Opens the shop. Nobody writes yet and no worker runs.
    pub(super) async fn open(shop_options: ShopOptions) -> Result<Self> {
        Self::open_through(shop_options, PostgresOptions::default(), async |server| Ok(server)).await
    }

    /// Opens the shop in a Postgres of this kind. `through` says at which addresses the worker finds the database, the endpoint and
    /// the store, in this order.
    pub(crate) async fn open_through(
        shop_options: ShopOptions,
        mut postgres: PostgresOptions,
        mut through: impl AsyncFnMut(SocketAddr) -> Result<SocketAddr>,
    ) -> Result<Self> {
        let folder = Folder::new("towpath-crash-")?;
        // Transactions of more than a few hundred rows are sent while they are open.
        postgres.settings.push("logical_decoding_work_mem=64kB".to_owned());
        let postgres = Arc::new(Postgres::start(postgres).await?);
        postgres.create_database(DATABASE).await?;
        let shop = Shop::open(&postgres, DATABASE, &shop_options).await?;
        let client = postgres.connect(DATABASE).await?;
        let receiver = Receiver::start().await?;
        let s3 = S3Server::start(&folder.join("s3"), BUCKET).await?;
        let mut options = WorkerOptions::within(folder.path());
        let mut holes = Holes::default();
        let database = through(SocketAddr::from(([127, 0, 0, 1], postgres.port()))).await?;
        holes.set("pg.host", database.ip()).set("pg.port", database.port()).set("pg.user", USER);
        holes.set("pg.database", DATABASE).set("slot", "crash").set("readers", shop_options.seed % 3 + 1);
        holes.set("hooks", format!("http://{}", through(receiver.address()).await?));
        holes.set("s3", format!("http://{}", through(s3.address()).await?));
        for (variable, value) in [("PG_PASSWORD", PASSWORD), ("S3_ACCESS", ACCESS_KEY), ("S3_SECRET", SECRET_KEY)] {
            options.environment.insert(variable.to_owned(), value.to_owned());
        }
        copy_pipelines(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crash/pipelines"), &options.pipelines, &holes)?;
        Ok(Self { folder, postgres, client, shop, shop_options, receiver, s3, options, marks: AtomicI64::new(1) })
    }

    /// Its database server.
    pub(crate) fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// Its HTTP endpoint.
    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// A new order reaches the endpoint: all between it and the database work.
    pub(crate) async fn recovers(&self) -> Result<()> {
        let mark = self.order().await?;
        eventually("an order to reach the endpoint", RECOVERED_WITHIN, || async {
            let accepted = self.receiver.accepted();
            let arrived = accepted.iter().rev().any(|body| String::from_utf8_lossy(body).contains(&mark));
            arrived.then_some(()).ok_or_else(|| anyhow!("{} requests were accepted", accepted.len()))
        })
        .await
    }

    /// A new order reaches the log, wherever the sinks are.
    pub(crate) async fn captures(&self) -> Result<()> {
        let mark = self.order().await?;
        eventually("an order to reach the log", RECOVERED_WITHIN, || async {
            let records = tail(&self.options.data_dir, TOPICS[0]).await?;
            let logged = records.iter().any(|record| record.value.as_ref().is_some_and(|value| value.contains(&mark)));
            logged.then_some(()).ok_or_else(|| anyhow!("{} orders are there", records.len()))
        })
        .await
    }

    /// Makes an order; what stands in its record and in no other.
    async fn order(&self) -> Result<String> {
        let mark = -1 - self.marks.fetch_add(1, Ordering::Relaxed);
        let order = format!(
            "insert into public.orders (id, writer, customer, qty, price, placed_at) values ({mark}, -1, 'a mark', 1, 0, now()) \
             on conflict do nothing"
        );
        eventually("the database to take an order", RECOVERED_WITHIN, || async {
            Ok(self.postgres.connect(DATABASE).await?.batch_execute(&order).await?)
        })
        .await?;
        Ok(format!("\"id\":{mark},"))
    }

    /// So many transactions end.
    pub(crate) async fn business(&self, transactions: u64) -> Result<()> {
        let due = self.shop.transactions() + transactions;
        eventually("some business", RECOVERED_WITHIN, || async {
            let done = self.shop.transactions();
            ensure!(done >= due, "{done} of {due} transactions have ended");
            Ok(())
        })
        .await
    }

    /// The process of the server that reads from the slot.
    pub(crate) async fn walsender(&self) -> Result<Option<i32>> {
        let reader = "select max(active_pid) from pg_replication_slots where slot_name = 'crash'";
        Ok(self.client.query_one(reader, &[]).await?.try_get(0)?)
    }

    /// Has the worker keep its data there.
    pub(crate) fn keep_data_in(&mut self, folder: &Path) {
        folder.clone_into(&mut self.options.data_dir);
    }

    /// Gives up, because the machine does not permit what is to be tried.
    pub(crate) fn abandon(self) -> Result<()> {
        let Self { folder, .. } = self;
        folder.remove()
    }

    /// Lets the writers begin.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        self.shop.begin(&self.postgres, DATABASE, &self.shop_options).await?;
        self.shop.begin_upheavals(&self.postgres, DATABASE, self.shop_options.seed, UPHEAVAL_PAUSE).await
    }

    /// How the worker is started.
    pub(crate) fn options(&self) -> &WorkerOptions {
        &self.options
    }

    /// A connection of the test's own.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Where everything is kept.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Closes the shop, lets a last worker deliver what is left, and holds everything against what must be.
    pub(crate) async fn settle(mut self) -> Result<String> {
        self.shop.close().await.context("writing to the shop")?;
        // The server may have been away in the meantime, and the connection with it.
        self.client = self.postgres.connect(DATABASE).await?;
        self.client.batch_execute(LAST_ORDER).await?;
        let worker = Worker::start(&self.options).await?;
        let mut delivered = self.delivered().await;
        if delivered.is_err() {
            let said = worker.rest().get("/v1/status").await?;
            delivered = delivered.with_context(|| format!("the worker says {said}"));
        }
        let status = worker.stop().await?;
        delivered?;
        ensure!(status.success(), "the last worker ended with {status}");
        let report = self.verify().await?;
        let Self { folder, postgres, client, .. } = self;
        drop(client);
        drop(postgres);
        folder.remove()?;
        Ok(report)
    }

    /// Waits until the last order is in the log and all that the log holds is in the store and at the endpoint.
    async fn delivered(&self) -> Result<()> {
        eventually("the last order in the log", DRAINED_WITHIN, || async {
            let records = tail(&self.options.data_dir, TOPICS[0]).await?;
            let is_last = |key: &str| key.contains("-1}");
            let found = records.iter().any(|record| record.key.as_deref().is_some_and(is_last));
            found.then_some(()).ok_or_else(|| anyhow!("{} orders are there", records.len()))
        })
        .await?;
        let mut due = 0;
        for topic in TOPICS {
            due += tail(&self.options.data_dir, topic).await?.iter().filter(|record| record.value.is_some()).count();
        }
        eventually("all records in objects", DRAINED_WITHIN, || async {
            let written: usize =
                objects(&self.s3.root().join(BUCKET), "changes")?.iter().map(|object| object.lines.len()).sum();
            ensure!(written >= due, "{written} of {due} are there");
            Ok(())
        })
        .await?;
        eventually("all records at the endpoint", DRAINED_WITHIN, || async {
            let accepted = oracles::delivered_values(&self.receiver.accepted())?;
            ensure!(accepted.len() >= due, "{} of {due} are there", accepted.len());
            Ok(())
        })
        .await
    }

    async fn verify(&self) -> Result<String> {
        let mut report = String::new();
        let delivered = oracles::delivered_values(&self.receiver.accepted())?;
        let objects = objects(&self.s3.root().join(BUCKET), "changes")?;
        for (table, topic) in self.shop.tables().iter().zip(TOPICS) {
            let records = tail(&self.options.data_dir, topic).await?;
            let changes = oracles::log_is_the_source(&self.client, table, &records).await?;
            oracles::objects_hold_each_offset_once(topic, &records, &objects)?;
            oracles::endpoint_got_everything(&records, &delivered)?;
            report += &format!("{topic}: {changes} changes, {} records; ", records.len());
        }
        report += &format!("{} objects, {} requests", objects.len(), self.receiver.count());
        Ok(report)
    }
}
