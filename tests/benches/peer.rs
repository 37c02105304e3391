//! The same snapshot and the same backlog through Debezium on Kafka Connect, into Apache Kafka, on the same machine in the same
//! run: both as they come, JSON without schemas as with us. The broker acknowledges before anything is synced.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::Mutex;
use towpath_tests::{Kafka, PASSWORD, Peers, PeersOptions, USER};

use crate::Arguments;
use crate::meter::Meter;
use crate::report::Report;
use crate::stage::{DATABASE, Stage, TOPIC, reach};
use crate::stream::EVENTS_A_TRANSACTION;

/// At its pace a part of the rows tells all.
const ROWS_MAX: u64 = 300_000;
const CONNECTOR: &str = "items";
const PEER: &str = "Debezium on Connect";

pub(crate) async fn measure(arguments: &Arguments, report: &mut Report) -> Result<()> {
    if let Some(missing) = Peers::missing() {
        eprintln!("  not beside a peer: {missing}");
        return Ok(());
    }
    let rows = arguments.rows.min(ROWS_MAX);
    let stage = Stage::open(rows).await?;
    let peers = Peers::start(&PeersOptions::default()).await?;
    let kafka = Arc::new(Mutex::new(peers.kafka().await?));

    let meters = Meters::start(&peers)?;
    peers.create(CONNECTOR, &config(&stage)).await?;
    let rate = reach("the peer's snapshot", rows, || count(&kafka)).await?;
    report.peer("snapshot", PEER, rate, &meters.a_million(rows)?);

    peers.rest().put(&format!("/connectors/{CONNECTOR}/stop")).await?;
    let events = stage.write_backlog(arguments.events.min(ROWS_MAX), EVENTS_A_TRANSACTION).await?;
    let meters = Meters::start(&peers)?;
    peers.rest().put(&format!("/connectors/{CONNECTOR}/resume")).await?;
    let rate = reach("the peer's backlog", rows + events, || count(&kafka)).await?;
    report.peer("backlog", PEER, rate, &meters.a_million(events)?);

    peers.stop().await?;
    stage.close().await
}

fn config(stage: &Stage) -> BTreeMap<String, String> {
    let port = stage.postgres.port().to_string();
    let settings = [
        ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
        ("plugin.name", "pgoutput"),
        ("topic.prefix", "bench"),
        ("database.hostname", "127.0.0.1"),
        ("database.port", &port),
        ("database.user", USER),
        ("database.password", PASSWORD),
        ("database.dbname", DATABASE),
        ("table.include.list", "public.items"),
        ("publication.autocreate.mode", "filtered"),
        ("slot.name", "peer"),
        ("key.converter.schemas.enable", "false"),
        ("value.converter.schemas.enable", "false"),
        ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
    ];
    settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

async fn count(kafka: &Arc<Mutex<Kafka>>) -> Result<u64> {
    kafka.lock().await.count(TOPIC).await
}

/// What the peer's two processes use.
struct Meters {
    worker: Meter,
    broker: Meter,
}

impl Meters {
    fn start(peers: &Peers) -> Result<Self> {
        Ok(Self { worker: Meter::start(peers.worker_pid())?, broker: Meter::start(peers.broker_pid())? })
    }

    fn a_million(&self, records: u64) -> Result<String> {
        let seconds = |meter: &Meter| Ok::<_, anyhow::Error>(meter.cpu_seconds()? / records as f64 * 1e6);
        let (worker, broker) = (seconds(&self.worker)?, seconds(&self.broker)?);
        Ok(format!("{worker:.0} s of processor a million and {broker:.0} in its broker"))
    }
}
