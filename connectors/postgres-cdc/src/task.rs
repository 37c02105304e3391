//! The task: connects, takes the snapshot, streams, and after any passing error begins again from what is delivered.
//!
//! ```text
//! Down → Making a slot → [Heading for its place] → Reading → Streaming
//!   ↑________________________ any error ______________________|
//! ```
//!
//! What is delivered is known from the answers of `poll` alone; whatever a failed poll had read is thrown away. `connect`
//! decides what a start begins with; here the phases follow each other.

mod connect;
mod keeping;
mod wall;

pub use wall::Wall;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Batch, Checkpoint, Clock, Polled, Progress};

use crate::catalog::Catalog;
use crate::config::{Settings, SnapshotMode};
use crate::envelope::Writer;
use crate::error::Error;
use crate::network::{Host, Level};
use crate::offset::{Event, Offset, Position, SnapshotState, Stored, TableProgress, main_partition, table_partition};
use crate::safety::Watch;
use crate::schema::{SharedSchemas, Source};
use crate::snapshot::{Report, Snapshot, Step, Turn};
use crate::stream::{Limits, Start, Stream};
use crate::wire::Connection;
use keeping::Keeping;

/// For whom the task runs.
#[derive(Clone, Debug)]
pub struct Run {
    /// The task's number.
    pub task: u32,
    /// New for every start.
    pub id: String,
}

/// What a slot is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be streamed from, after its snapshot where one is due.
    Lasting,
    /// For its snapshot alone; the lasting slot exists already.
    Passing,
}

/// What the task is doing.
enum Phase {
    Down,
    Making { replication: Box<Connection>, purpose: Purpose },
    Heading { stream: Box<Stream>, snapshot: Box<Snapshot> },
    Reading { snapshot: Box<Snapshot>, replication: Option<Box<Connection>> },
    Streaming(Box<Stream>),
    Finished,
}

/// A capture task.
pub struct Task {
    settings: Settings,
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
    catalog: Catalog,
    writer: Writer,
    phase: Phase,
    /// What is delivered: the main partition, none at a first start.
    offset: Option<Offset>,
    event: Event,
    ledger: BTreeMap<String, TableProgress>,
    /// The server's own number, once it is known.
    system: Option<String>,
    /// What is durable: the server may forget what lies before.
    durable: u64,
    /// Tells in time that the server will not keep log for ever, or does not publish what is wanted.
    watch: Watch,
    /// The snapshot that every start takes in mode `always` is still due.
    always_due: bool,
    keeping: Keeping,
    /// How far the last stream has read.
    received: u64,
    /// The last reading of what it buffers.
    buffered: f64,
    wall: Wall,
}

/// What writes the records of a task, whichever of its instances reads them.
pub fn writer(settings: &Settings, run: &Run) -> Writer {
    let source = Source {
        name: settings.names.prefix.clone(),
        database: settings.login.database.clone(),
        transaction_topic: settings.transaction_topic.clone(),
        schemas: SharedSchemas::new(settings.names.topic_of("message"), settings.values.binary.kind()),
    };
    let task = run.task.to_string();
    let headers = [
        ("__debezium.context.connectorLogicalName", settings.names.prefix.as_str()),
        ("__debezium.context.taskId", &task),
        ("__debezium.context.connectorName", "postgresql"),
        ("__debezium.context.runId", &run.id),
    ];
    Writer::new(&source, settings.tombstones, if settings.headers { &headers } else { &[] })
}

impl Task {
    /// A task at the stored positions. Does no IO.
    ///
    /// # Errors
    /// When a stored position cannot be read.
    pub fn open(
        settings: Settings,
        run: &Run,
        stored: &[Checkpoint],
        host: Arc<dyn Host>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let stored = Stored::parse(&settings.names.prefix, stored)?;
        let durable = stored.offset.as_ref().map_or(0, |offset| offset.position.lsn);
        Ok(Self {
            catalog: Catalog::new(host.clone(), clock.clone(), settings.login.clone()),
            watch: Watch::default(),
            always_due: settings.snapshot == SnapshotMode::Always,
            wall: Wall::new(clock.clone()),
            writer: writer(&settings, run),
            settings,
            host,
            clock,
            phase: Phase::Down,
            offset: stored.offset,
            event: Event { lsn: 0, xid: 0, ts_us: 0, kind: "" },
            ledger: stored.tables.into_iter().collect(),
            system: None,
            durable,
            keeping: Keeping::default(),
            received: 0,
            buffered: 0.0,
        })
    }

    /// Reads on. After a passing error the next call connects again and goes on after what was delivered.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or sends what cannot be represented.
    pub fn poll(&mut self, limits: Limits) -> Result<Polled, Error> {
        let deadline = self.clock.monotonic() + limits.wait;
        self.look_around();
        loop {
            self.writer.set_now(self.wall.now());
            // Whatever fails leaves the task down, with its connections gone.
            let phase = std::mem::replace(&mut self.phase, Phase::Down);
            let left = Limits { wait: deadline.saturating_sub(self.clock.monotonic()), ..limits };
            match self.step(phase, left) {
                Ok((phase, polled)) => {
                    self.phase = phase;
                    if let Some(polled) = polled {
                        return Ok(polled);
                    }
                }
                Err(error) => {
                    self.writer.discard();
                    if !self.can_do_without_streaming(&error) && !self.begins_anew(&error) {
                        return Err(error);
                    }
                    self.wait_for_slot();
                }
            }
        }
    }

    /// One step: the next phase, and an answer when there is one.
    fn step(&mut self, phase: Phase, limits: Limits) -> Result<(Phase, Option<Polled>), Error> {
        match phase {
            Phase::Down => Ok((self.connect()?, None)),
            Phase::Making { mut replication, purpose } => match self.making(&mut replication, limits)? {
                None => Ok((Phase::Making { replication, purpose }, Some(nothing(Progress::Idle)))),
                // What comes next may be a reader's.
                Some(created) => Ok((self.made(replication, purpose, &created)?, Some(nothing(Progress::More)))),
            },
            Phase::Heading { mut stream, snapshot } => {
                let more = self.poll_stream(&mut stream, limits)?;
                let reached = stream.reached();
                let polled = self.streamed(&mut stream, more || reached, Some(snapshot.lsn()).filter(|_| reached));
                if !reached {
                    return Ok((Phase::Heading { stream, snapshot }, Some(polled)));
                }
                stream.close();
                Ok((Phase::Reading { snapshot, replication: None }, Some(polled)))
            }
            Phase::Reading { mut snapshot, replication } => {
                let step = snapshot.poll(&mut self.writer, &mut self.catalog, &self.settings, limits)?;
                let polled = self.read(&mut snapshot, step);
                if step != Step::Finished {
                    return Ok((Phase::Reading { snapshot, replication }, Some(polled)));
                }
                snapshot.close();
                self.host.log(Level::Info, format_args!("the snapshot is complete"));
                Ok((self.after_snapshot(replication)?, Some(polled)))
            }
            Phase::Streaming(mut stream) => {
                stream.set_durable(self.durable);
                let more = self.poll_stream(&mut stream, limits)?;
                let polled = self.streamed(&mut stream, more, None);
                let phase = self.take_back(stream).unwrap_or_else(Phase::Streaming);
                Ok((phase, Some(polled)))
            }
            Phase::Finished => Ok((Phase::Finished, Some(nothing(Progress::Finished)))),
        }
    }

    /// What follows a complete snapshot: the stream, on the connection that made the slot where that is still held.
    fn after_snapshot(&mut self, replication: Option<Box<Connection>>) -> Result<Phase, Error> {
        if self.settings.snapshot == SnapshotMode::InitialOnly {
            return Ok(Phase::Finished);
        }
        let Some(replication) = replication else { return Ok(Phase::Down) };
        // The snapshot is delivered by now; a connection that died meanwhile is replaced by the next poll.
        let start = self.start(None);
        self.writer.set_transaction(None);
        let surroundings = (self.host.clone(), self.clock.clone());
        match Stream::start(*replication, &self.settings, self.catalog.version(), start, self.event, surroundings) {
            Ok(stream) => Ok(Phase::Streaming(Box::new(stream))),
            Err(error) if error.is_passing() => Ok(Phase::Down),
            Err(error) => Err(error),
        }
    }

    fn start(&self, until: Option<u64>) -> Start {
        let offset = self.offset.as_ref();
        Start {
            position: offset.map_or(Position::default(), |offset| offset.position),
            last_commit: offset.and_then(|offset| offset.last_commit),
            taken_over: offset.and_then(|offset| offset.taken_over),
            until,
            durable: self.durable,
            is_streaming: self.is_streaming(),
        }
    }

    fn poll_stream(&mut self, stream: &mut Stream, limits: Limits) -> Result<bool, Error> {
        let more = stream.poll(&mut self.writer, &mut self.catalog, &self.settings, limits);
        self.report(stream);
        more
    }

    /// The answer to a poll of the stream. `arrived` is the place the stream was heading for, once it is reached.
    fn streamed(&mut self, stream: &mut Stream, more: bool, arrived: Option<u64>) -> Polled {
        let mut position = stream.position();
        if let Some(lsn) = arrived {
            position = position.max(Position { lsn, ordinal: 0 });
        }
        self.event = stream.event();
        let records = self.writer.finish();
        let due = !records.is_empty() || arrived.is_some() || stream.is_advance_due(&self.settings);
        let mut checkpoints = Vec::new();
        if let Some(offset) = &mut self.offset
            && due
        {
            // What was left out of a takeover is behind us once a later transaction is delivered.
            offset.taken_over = stream.taken_over();
            offset.position = position;
            offset.last_commit = stream.last_commit();
            offset.transaction = self.writer.transaction().cloned();
            checkpoints.push(main(&self.settings, offset, &self.event));
            stream.set_delivered();
        }
        let lag_ms = match records.is_empty() {
            true => 0,
            false => u64::try_from(self.clock.now_ms() - self.event.ts_us / 1000).unwrap_or(0),
        };
        Polled {
            records,
            checkpoints,
            progress: if more { Progress::More } else { Progress::Idle },
            lag_ms: Some(lag_ms),
            lag_bytes: Some(stream.lag_bytes()),
            transaction_ends: stream.take_ends(),
        }
    }

    /// The answer to a poll of the snapshot.
    fn read(&mut self, snapshot: &mut Snapshot, step: Step) -> Polled {
        let records = self.writer.finish();
        let progress = match step {
            Step::More => Progress::More,
            Step::Idle => Progress::Idle,
            Step::Finished if self.settings.snapshot == SnapshotMode::InitialOnly => Progress::Finished,
            Step::Finished => Progress::More,
        };
        let checkpoints = self.progressed(snapshot, step == Step::Finished);
        // Rows that are read are of no transaction: each batch of them is complete.
        let transaction_ends = records.len().checked_sub(1).and_then(|last| u32::try_from(last).ok());
        let transaction_ends = transaction_ends.into_iter().collect();
        Polled { records, checkpoints, progress, lag_ms: None, lag_bytes: None, transaction_ends }
    }

    /// The positions after a step of the snapshot.
    fn progressed(&mut self, snapshot: &mut Snapshot, finished: bool) -> Vec<Checkpoint> {
        let mut checkpoints = Vec::new();
        let prefix = &self.settings.names.prefix;
        for (table, progress) in snapshot.take_progress() {
            if !finished {
                let offset = Some(progress.to_json());
                checkpoints.push(Checkpoint { partition: table_partition(prefix, &table), offset });
            }
            self.ledger.insert(table, progress);
        }
        let moved = !checkpoints.is_empty();
        if finished {
            for table in std::mem::take(&mut self.ledger).into_keys() {
                checkpoints.push(Checkpoint { partition: table_partition(prefix, &table), offset: None });
            }
            self.always_due = false;
        }
        self.event = Event { lsn: snapshot.lsn(), xid: snapshot.xid(), ts_us: snapshot.ts_us(), kind: "" };
        if let Some(offset) = &mut self.offset
            && (finished || moved)
        {
            offset.snapshot = if finished { SnapshotState::Completed } else { SnapshotState::Running };
            checkpoints.push(main(&self.settings, offset, &self.event));
        }
        checkpoints
    }

    /// Who does what next, when `free` more readers could work.
    ///
    /// # Errors
    /// As those of [`poll`](Self::poll).
    pub fn turn(&mut self, free: u32) -> Result<Turn, Error> {
        let Phase::Reading { snapshot, .. } = &mut self.phase else { return Ok(Turn::Task) };
        let turn = snapshot.turn(&mut self.catalog, &self.settings, free);
        if turn.is_err() {
            self.phase = Phase::Down;
        }
        turn
    }

    /// A reader has come further: the positions that become durable with its records.
    ///
    /// # Errors
    /// When it reports of something that it was not given.
    pub fn fold(&mut self, report: Report) -> Result<Vec<Checkpoint>, Error> {
        match std::mem::replace(&mut self.phase, Phase::Down) {
            Phase::Reading { mut snapshot, replication } => {
                snapshot.report(report, &self.catalog, &self.settings)?;
                let checkpoints = self.progressed(&mut snapshot, false);
                self.phase = Phase::Reading { snapshot, replication };
                Ok(checkpoints)
            }
            phase => {
                self.phase = phase;
                Err(Error::Protocol("a report where no snapshot is read"))
            }
        }
    }

    /// All readers are gone: what they had not read is read again.
    pub fn recall(&mut self) {
        if let Phase::Reading { snapshot, .. } = &mut self.phase {
            snapshot.recall();
        }
    }

    /// These positions are durable. Invariant 1: only from here does the server learn that it may forget.
    ///
    /// # Errors
    /// When a position is not ours.
    pub fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), Error> {
        let stored = Stored::parse(&self.settings.names.prefix, offsets)?;
        if let Some(offset) = stored.offset {
            self.durable = self.durable.max(offset.position.lsn);
        }
        if let Phase::Streaming(stream) | Phase::Heading { stream, .. } = &mut self.phase {
            stream.set_durable(self.durable);
        }
        Ok(())
    }

    /// Keeps all connections alive while nothing is read.
    ///
    /// # Errors
    /// When one broke; the next poll connects again.
    pub fn keep_alive(&mut self) -> Result<(), Error> {
        self.look_around();
        let kept = match &mut self.phase {
            Phase::Streaming(stream) => stream.tell(false),
            Phase::Heading { stream, snapshot } => stream.tell(false).and_then(|()| snapshot.keep_alive()),
            Phase::Reading { snapshot, replication } => snapshot.keep_alive().and_then(|()| {
                replication.as_mut().map_or(Ok(()), |connection| connection.query("SELECT 1").map(drop))
            }),
            Phase::Down | Phase::Making { .. } | Phase::Finished => Ok(()),
        };
        if kept.is_err() {
            self.phase = Phase::Down;
        }
        kept
    }

    /// Not everything that will go wrong goes wrong with the stream.
    fn look_around(&mut self) {
        if !matches!(self.phase, Phase::Down | Phase::Finished) {
            let (now, streams) = (self.clock.monotonic(), matches!(self.phase, Phase::Streaming(_)));
            self.watch.look(now, &mut self.catalog, &self.settings, self.host.as_ref(), streams);
        }
    }

    /// Lets go of all connections, and of the slot where the configuration says so.
    pub fn close(mut self) {
        match std::mem::replace(&mut self.phase, Phase::Down) {
            Phase::Streaming(mut stream) => {
                // The server may learn the last durable position now rather than at the next start.
                let _ = stream.tell(false);
                stream.close();
            }
            Phase::Heading { stream, snapshot } => {
                stream.close();
                snapshot.close();
            }
            Phase::Reading { snapshot, replication } => {
                snapshot.close();
                replication.into_iter().for_each(|connection| connection.close());
            }
            Phase::Making { replication, .. } => replication.close(),
            Phase::Down | Phase::Finished => {}
        }
        if self.settings.drop_slot {
            self.drop_slot();
        }
        self.catalog.close();
    }

    fn drop_slot(&mut self) {
        let name = postgres_protocol::escape::escape_literal(&self.settings.slot);
        for _ in 0..20 {
            match self.catalog.query(&format!("SELECT pg_drop_replication_slot({name})")) {
                // Our own connection may take a moment to let go of it.
                Err(error) if error.sqlstate() == Some("55006") => {
                    self.host.pause(Duration::from_millis(50));
                }
                Err(error) => {
                    self.host.log(Level::Warn, format_args!("the slot was not dropped: {error}"));
                    return;
                }
                Ok(_) => return,
            }
        }
        self.host.log(Level::Warn, format_args!("the slot was not dropped, because it is still in use"));
    }
}

fn main(settings: &Settings, offset: &Offset, event: &Event) -> Checkpoint {
    Checkpoint { partition: main_partition(&settings.names.prefix), offset: Some(offset.to_json(event)) }
}

fn nothing(progress: Progress) -> Polled {
    Polled {
        records: Batch::default(),
        checkpoints: Vec::new(),
        progress,
        lag_ms: None,
        lag_bytes: None,
        transaction_ends: Vec::new(),
    }
}
