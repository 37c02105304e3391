//! Where the worker is killed: a busy shop in a Postgres of its own, and both sinks.

use std::path::Path;
use std::sync::Arc;
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
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
const LAST_ORDER: &str =
    "insert into public.orders (id, writer, customer, qty, price, placed_at) values (-1, -1, 'the last', 1, 0, now())";

/// The names of what is captured.
pub(super) const TOPICS: [&str; 2] = ["shop.public.orders", "shop.public.stock"];

/// A shop with its pipelines.
pub(super) struct Scene {
    folder: Folder,
    postgres: Arc<Postgres>,
    client: Client,
    shop: Shop,
    shop_options: ShopOptions,
    receiver: Receiver,
    s3: S3Server,
    options: WorkerOptions,
}

impl Scene {
    /// Opens the shop. Nobody writes yet and no worker runs.
    pub(super) async fn open(shop_options: ShopOptions) -> Result<Self> {
        let folder = Folder::new("towpath-crash-")?;
        let postgres = Arc::new(Postgres::start(PostgresOptions::default()).await?);
        postgres.create_database(DATABASE).await?;
        let shop = Shop::open(&postgres, DATABASE, &shop_options).await?;
        let client = postgres.connect(DATABASE).await?;
        let receiver = Receiver::start().await?;
        let s3 = S3Server::start(&folder.join("s3"), BUCKET).await?;
        let mut options = WorkerOptions::within(folder.path());
        let mut holes = Holes::default();
        holes
            .set("pg.host", "127.0.0.1")
            .set("pg.port", postgres.port())
            .set("pg.user", USER)
            .set("pg.database", DATABASE);
        holes.set("slot", "crash").set("hooks", receiver.url()).set("s3", s3.url());
        for (variable, value) in [("PG_PASSWORD", PASSWORD), ("S3_ACCESS", ACCESS_KEY), ("S3_SECRET", SECRET_KEY)] {
            options.environment.insert(variable.to_owned(), value.to_owned());
        }
        copy_pipelines(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crash/pipelines"), &options.pipelines, &holes)?;
        Ok(Self { folder, postgres, client, shop, shop_options, receiver, s3, options })
    }

    /// Lets the writers begin.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.shop.begin(&self.postgres, DATABASE, &self.shop_options).await
    }

    /// How the worker is started.
    pub(super) fn options(&self) -> &WorkerOptions {
        &self.options
    }

    /// A connection of the test's own.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Where everything is kept.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Closes the shop, lets a last worker deliver what is left, and holds everything against what must be.
    pub(super) async fn settle(mut self) -> Result<String> {
        self.shop.close().await.context("writing to the shop")?;
        self.client.batch_execute(LAST_ORDER).await?;
        let worker = Worker::start(&self.options).await?;
        let delivered = self.delivered().await;
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
