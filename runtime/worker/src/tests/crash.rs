//! The whole worker on the embedded log over a simulated disk, with the power cut at random moments: every number that a source
//! has given is in the log once and in order, and every one that is in the log reaches the sink. Where transactions of the source are
//! to be seen whole, nobody ever sees a part of one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use towpath_log::sim::{Faults, SimDisk};
use towpath_log::{Embedded, Error, Fetch, Fetches, GroupOffsets, LogConfig, Topics};
use towpath_model::{
    Batch, Checkpoint, Config, ConnectorError, ConnectorKind, Fault, Flushed, Interrupt, Plugin, Plugins, Polled,
    Position, Progress, Record, Redactor, Sink, Source, Spec, SystemClock, TargetState, TaskContext, TopicPartition,
    Transform, UnknownPlugin,
};

use super::plugins::{FakePlugins, records};
use super::rig::{config, name};
use crate::{Worker, WorkerConfig};

/// What outlives a power cut: what the source was told, and what has reached the target.
#[derive(Default)]
struct World {
    /// Transactions of the source have so many numbers, and are to be seen whole.
    whole: Option<u64>,
    told: Mutex<u64>,
    delivered: Mutex<Vec<u64>>,
}

/// A source that counts, and a sink that writes down what it gets.
struct Counting {
    spec: Spec,
    world: Arc<World>,
}

struct CountingPlugins(Vec<Arc<Counting>>);

impl CountingPlugins {
    fn new(world: &Arc<World>) -> Arc<Self> {
        let of = |plugin: &Arc<dyn Plugin>| Arc::new(Counting { spec: plugin.spec().clone(), world: world.clone() });
        Arc::new(Self(FakePlugins::new().all().iter().map(of).collect()))
    }
}

impl Plugins for CountingPlugins {
    fn all(&self) -> Vec<Arc<dyn Plugin>> {
        self.0.iter().map(|plugin| plugin.clone() as Arc<dyn Plugin>).collect()
    }

    fn find(&self, class: &str) -> Result<Arc<dyn Plugin>, UnknownPlugin> {
        let found = self.all().into_iter().find(|plugin| plugin.spec().name == class);
        found.ok_or_else(|| UnknownPlugin { class: class.into(), available: vec![], suggestion: None })
    }
}

struct Never;

impl Interrupt for Never {
    fn raise(&self) {}
}

#[async_trait]
impl Plugin for Counting {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn digest(&self) -> &str {
        "counting"
    }

    async fn validate(&self, _: &Config, _: &Redactor, _: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(vec![])
    }

    async fn plan(&self, config: &Config, _: &Redactor, _: u32) -> Result<Vec<Config>, ConnectorError> {
        Ok(vec![config.clone()])
    }

    async fn source(&self, context: TaskContext) -> Result<(Box<dyn Source>, Arc<dyn Interrupt>), ConnectorError> {
        assert_eq!(self.spec.kind, ConnectorKind::Source);
        let source =
            CountingSource { next: 0, world: self.world.clone(), random: StdRng::seed_from_u64(context.epoch) };
        Ok((Box::new(source), Arc::new(Never)))
    }

    async fn sink(&self, _: TaskContext) -> Result<(Box<dyn Sink>, Arc<dyn Interrupt>), ConnectorError> {
        Ok((Box::new(CountingSink(self.world.clone())), Arc::new(Never)))
    }

    async fn transform(&self, _: TaskContext) -> Result<Box<dyn Transform>, ConnectorError> {
        Err(ConnectorError::fatal("no transforms here"))
    }
}

struct CountingSource {
    next: u64,
    world: Arc<World>,
    random: StdRng,
}

fn position(next: u64) -> Checkpoint {
    Checkpoint { partition: r#"{"p":1}"#.into(), offset: Some(next.to_string()) }
}

fn number(checkpoint: &Checkpoint) -> u64 {
    checkpoint.offset.as_ref().expect("set").parse().expect("a number")
}

#[async_trait]
impl Source for CountingSource {
    async fn open(&mut self, offsets: Vec<Checkpoint>) -> Result<(), ConnectorError> {
        self.next = offsets.first().map_or(0, number);
        let told = *self.world.told.lock().unwrap();
        // Invariant 1: what the source was told to forget is durable in the log.
        assert!(self.next >= told, "opened at {}, but {told} was acknowledged", self.next);
        Ok(())
    }

    async fn poll(&mut self, _: Duration, _: u32, _: u32) -> Result<Polled, ConnectorError> {
        tokio::task::yield_now().await;
        let idle = self.random.random_bool(0.1);
        let mut count = if idle { 0 } else { self.random.random_range(1..40) };
        let mut transaction_ends = vec![];
        let mut between = true;
        if let Some(size) = self.world.whole {
            let left = size - self.next % size;
            if !idle && self.random.random_bool(0.3) {
                count = left;
            }
            let ends = (left - 1..count).step_by(usize::try_from(size).unwrap());
            transaction_ends = ends.map(|end| u32::try_from(end).unwrap()).collect();
            between = self.next.is_multiple_of(size);
        }
        let values: Vec<_> = (self.next..self.next + count).map(|value| format!("{value}:")).collect();
        self.next += count;
        let records = if values.is_empty() { Batch::default() } else { records("numbers", &values) };
        // Positions alone say that the source stands between transactions.
        let checkpoints = if between || count > 0 { vec![position(self.next)] } else { vec![] };
        let progress = Progress::More;
        Ok(Polled { records, checkpoints, progress, lag_ms: None, lag_bytes: None, transaction_ends })
    }

    async fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        *self.world.told.lock().unwrap() = offsets.first().map_or(0, number);
        Ok(())
    }

    async fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn close(&mut self) {}
}

struct CountingSink(Arc<World>);

#[async_trait]
impl Sink for CountingSink {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn assigned(&mut self, _: &[Position]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn revoked(&mut self, _: &[TopicPartition]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn put(&mut self, records: &Batch) -> Result<(), ConnectorError> {
        self.0.delivered.lock().unwrap().extend(records.records().map(|record| value_of(record.value.bytes)));
        Ok(())
    }

    async fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        Ok(Flushed { offsets: handed_over.to_vec(), ..Flushed::default() })
    }

    async fn next_flush(&mut self) -> Result<Option<Duration>, ConnectorError> {
        Ok(Some(Duration::ZERO))
    }

    async fn close(&mut self) {}
}

fn value_of(bytes: Option<&[u8]>) -> u64 {
    let text = std::str::from_utf8(bytes.expect("a value")).expect("text");
    text.trim_end_matches(':').parse().expect("a number")
}

/// All numbers in the log, which refuses once the power is cut.
async fn numbers(log: &Embedded) -> Result<Vec<u64>, Error> {
    Ok(placed_numbers(log).await?.into_iter().map(|(_, number)| number).collect())
}

/// The same with their offsets, between which ends of transactions have theirs.
async fn placed_numbers(log: &Embedded) -> Result<Vec<(i64, u64)>, Error> {
    let partition = TopicPartition::new("numbers", 0);
    let Ok(ends) = log.offsets(&partition) else { return Ok(vec![]) };
    let (mut numbers, mut offset) = (vec![], ends.start);
    while offset < ends.high_watermark {
        let fetch = [Fetch { partition: partition.clone(), offset }];
        let fetched = log.fetch(&fetch, 1 << 20, Duration::ZERO).await?;
        let placed = |record: Record<'_>| (record.offset.expect("placed"), value_of(record.value.bytes));
        numbers.extend(fetched[0].records.records().map(placed));
        offset = fetched[0].next_offset;
    }
    Ok(numbers)
}

async fn live(disk: &SimDisk, world: &Arc<World>, cut_at: Option<u64>, seed: u64) {
    let clock = Arc::new(SystemClock::default());
    let mut log_config = LogConfig::new("/data");
    log_config.offsets_topic_partitions = 2;
    let log = Embedded::open(log_config, Arc::new(disk.clone()), clock.clone(), seed);
    let log = Arc::new(log.expect("the log recovers"));
    let before = numbers(&log).await.expect("readable");
    assert!(before.iter().copied().eq(0..before.len() as u64), "seed {seed}: a gap or a double in {before:?}");
    assert!(before.len() as u64 >= *world.told.lock().unwrap(), "seed {seed}: acknowledged and lost");
    let is_whole = |seen: usize| world.whole.is_none_or(|size| (seen as u64).is_multiple_of(size));
    assert!(is_whole(before.len()), "seed {seed}: a part of a transaction is seen: {}", before.len());
    disk.set_faults(Faults { cut_at, ..Faults::default() });
    let worker_config = WorkerConfig { drain_timeout: Duration::from_secs(5), ..WorkerConfig::default() };
    let worker = Worker::new(worker_config, log.clone(), CountingPlugins::new(world), clock, seed);
    let handle = worker.handle();
    let (shutdown, stop) = watch::channel(false);
    let worker = tokio::spawn(worker.run(stop));
    let mut failed = log.failed();
    let enough = before.len() + 400;
    let work = async {
        if handle.ready().wait_for(|ready| *ready).await.is_err() {
            return;
        }
        for class in ["source", "sink"] {
            let settings = match (class, world.whole) {
                ("sink", _) => vec![("topics", "numbers")],
                (_, Some(_)) => vec![("transaction.boundary", "connector")],
                (_, None) => vec![],
            };
            // It may be there from before, or the power may go out now.
            drop(handle.create(name(class), config(class, &settings), TargetState::Started).await);
        }
        loop {
            let delivered = world.delivered.lock().unwrap().iter().max().map_or(0, |most| *most as usize + 1);
            let Ok(seen) = numbers(&log).await.map(|numbers| numbers.len()) else { return };
            assert!(is_whole(seen), "seed {seed}: a part of a transaction is seen: {seen}");
            if delivered >= enough {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = work => {}
        _ = failed.wait_for(Option::is_some) => {}
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("seed {seed}: no progress: {:#?}", handle.statuses()),
    }
    if cut_at.is_some() {
        worker.abort();
        drop(worker.await);
        return;
    }
    shutdown.send_replace(true);
    worker.await.expect("no panic").expect("an orderly end");
    let all = numbers(&log).await.expect("readable");
    assert!(all.iter().copied().eq(0..all.len() as u64), "seed {seed}");
    let delivered: std::collections::BTreeSet<u64> = world.delivered.lock().unwrap().iter().copied().collect();
    let committed = log.group_offsets("connect-sink")[0].offset.expect("committed");
    // Invariant 3: whatever the offset has passed has been delivered.
    let placed = placed_numbers(&log).await.expect("readable");
    let mut passed = placed.iter().filter(|(offset, _)| *offset < committed);
    assert!(passed.all(|(_, number)| delivered.contains(number)), "seed {seed}: passed and not delivered");
    assert!(log.topic("numbers").is_some() && all.len() >= enough);
    log.close_now().expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_lose_and_repeat_nothing_in_the_log() {
    cuts(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cuts_show_no_part_of_a_transaction() {
    cuts(Some(97)).await;
}

async fn cuts(whole: Option<u64>) {
    let first: u64 = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for seed in first..first + 5 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let world = Arc::new(World { whole, ..World::default() });
        let mut disk = SimDisk::new(seed);
        for round in 0..4 {
            live(&disk, &world, Some(random.random_range(20..600)), seed * 10 + round).await;
            disk = disk.reboot();
        }
        live(&disk, &world, None, seed * 10 + 9).await;
    }
}
