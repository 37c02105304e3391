//! Carries out what the machine of a source task decides: owns the guest, the converter and the writer, waits for all of them
//! in one place, and feeds what happens back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;
use towpath_model::{Checkpoint, Coded, ConnectorError, Interrupt, Kind, Polled, Source};

use super::Ready;
use super::convert::Converter;
use super::haste::Haste;
use super::machine::{Action, Event, Machine};
use super::traced;
use super::write::{Writer, merge_positions};
use crate::errors::Stage;
use crate::settings::{Boundary, TaskSettings};
use crate::task::calls::{Call, aside, moment};
use crate::task::retry::Retrying;
use crate::task::traces::Traced;
use crate::task::{Failure, Halt, Notice, Task, Wanted, wait_of};

/// How long a guest may go on waiting in a poll while positions lie ready for it.
const FEEDBACK_DELAY: Duration = Duration::from_millis(50);
/// Batches of at least so many records are converted and written on other threads while the guest goes on.
const SPAWN_RECORDS: usize = 256;

/// The guest is not polled while so many full batches are ready to be written.
const READY_BATCHES_MAX: usize = 4;

/// What the guest answered to which call.
enum Answer {
    Opened(Result<(), ConnectorError>),
    Polled(Result<Box<Polled>, ConnectorError>),
    Acknowledged(Result<(), ConnectorError>),
    KeptAlive(Result<(), ConnectorError>),
}

/// A converter that has done its work.
type Conversion = (Converter, Result<Ready, Halt>);

/// A writer that has done its work.
type Writing = (Writer, Result<Vec<Checkpoint>, Halt>);

pub(super) struct Driver {
    task: Arc<Task>,
    settings: TaskSettings,
    machine: Machine,
    wanted: watch::Receiver<Wanted>,
    interrupt: Arc<dyn Interrupt>,
    /// The guest, while no call into it is under way.
    source: Option<Box<dyn Source>>,
    guest: Call<(Box<dyn Source>, Answer)>,
    converter: Option<Converter>,
    converting: Call<Result<Conversion, Failure>>,
    writer: Option<Writer>,
    writing: Call<Result<Writing, Failure>>,
    retrying: Retrying,
    polled: VecDeque<(Polled, Option<Traced>)>,
    /// When the guest was last asked, where somebody traces.
    poll_began: Duration,
    ready: Vec<Ready>,
    /// Durable positions that the guest does not know of.
    positions: Vec<Checkpoint>,
    /// Positions that are on their way to the guest.
    delivering: Vec<Checkpoint>,
    pause_ends: Option<Instant>,
    /// How long what is ready gathers, and until when it does now.
    gather: Option<Duration>,
    gather_until: Option<Instant>,
    interrupt_at: Option<Instant>,
    keep_alive_at: Option<Instant>,
    was_behind: bool,
    haste: Haste,
}

impl Driver {
    pub(super) async fn new(task: Arc<Task>, settings: TaskSettings) -> Result<Self, Failure> {
        let made = task.plugin.source(task.context()).await;
        let (source, interrupt) = made.map_err(|error| task.failure("starting the connector", &error))?;
        let wanted = task.wanted.clone();
        let ready_bytes_max = settings.batch.bytes as usize * READY_BATCHES_MAX;
        let begins = *wanted.borrow();
        let gather = if let Boundary::Interval(interval) = settings.boundary { Some(interval) } else { None };
        Ok(Self {
            machine: Machine::new(begins, ready_bytes_max, gather.is_some()),
            converter: Some(Converter::new(&task, &settings).await?),
            writer: Some(Writer::new(&task, &settings).await?),
            retrying: Retrying::new(&task, settings.retry, &[Stage::Poll, Stage::Open, Stage::SourceCommit]),
            source: Some(source),
            guest: Call::default(),
            converting: Call::default(),
            writing: Call::default(),
            polled: VecDeque::new(),
            poll_began: Duration::ZERO,
            ready: Vec::new(),
            positions: Vec::new(),
            delivering: Vec::new(),
            pause_ends: None,
            gather,
            gather_until: None,
            interrupt_at: None,
            keep_alive_at: None,
            was_behind: false,
            haste: Haste::default(),
            wanted,
            interrupt,
            settings,
            task,
        })
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        if let Some(wait) = self.retrying.resumed_wait() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.wanted.wait_for(|wanted| *wanted == Wanted::Stop) => return Ok(()),
            }
        }
        let mut actions = vec![self.machine.begin()];
        loop {
            for action in actions {
                if action == Action::Close {
                    return self.close().await;
                }
                self.perform(action);
            }
            self.arm_keep_alive();
            let event = self.next().await?;
            actions = self.machine.on(event);
        }
    }

    /// Everything that can wake a source task.
    async fn next(&mut self) -> Result<Event, Failure> {
        tokio::select! {
            changed = self.wanted.changed() => {
                let wanted = changed.map_or(Wanted::Stop, |()| *self.wanted.borrow_and_update());
                if wanted == Wanted::Stop {
                    // Also a guest that is opening hears of it.
                    self.interrupt.raise();
                }
                Ok(Event::Wanted(wanted))
            }
            (source, answer) = self.guest.answer() => {
                self.source = Some(source);
                self.interrupt_at = None;
                self.keep_alive_at = None;
                self.answered(answer).await
            }
            converted = self.converting.answer() => self.converted(converted?),
            written = self.writing.answer() => self.written(written?),
            () = moment(self.pause_ends) => { self.pause_ends = None; Ok(Event::GuestPauseOver) }
            () = moment(self.gather_until) => { self.gather_until = None; Ok(Event::GatheringOver) }
            () = moment(self.interrupt_at) => { self.interrupt_at = None; Ok(Event::InterruptDue) }
            () = moment(self.keep_alive_at) => { self.keep_alive_at = None; Ok(Event::KeepAliveDue) }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Open => {
                let offsets = self.task.shared.offsets.of(&self.task.id.connector);
                self.call(|mut source| async move {
                    let opened = source.open(offsets).await;
                    (source, Answer::Opened(opened))
                });
            }
            Action::Poll => {
                let (batch, wait) = (self.settings.batch, self.task.shared.limits.poll_wait);
                let pause = self.haste.pause();
                self.poll_began = self.task.shared.clock.monotonic() + pause;
                self.haste.polls(self.poll_began);
                self.call(move |mut source| async move {
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    let polled = source.poll(wait, batch.records, batch.bytes).await;
                    (source, Answer::Polled(polled.map(Box::new)))
                });
            }
            Action::Acknowledge => {
                let positions = std::mem::take(&mut self.positions);
                self.delivering.clone_from(&positions);
                self.call(|mut source| async move {
                    let taken = source.commit(&positions).await;
                    (source, Answer::Acknowledged(taken))
                });
            }
            Action::KeepAlive => self.call(|mut source| async move {
                let kept = source.keep_alive().await;
                (source, Answer::KeptAlive(kept))
            }),
            Action::Convert => self.convert(),
            Action::Write => self.write(),
            Action::Gather => self.gather_until = self.gather.map(|interval| Instant::now() + interval),
            Action::Interrupt => self.interrupt.raise(),
            Action::InterruptSoon => {
                self.interrupt_at.get_or_insert_with(|| Instant::now() + FEEDBACK_DELAY);
            }
            Action::Close => {}
        }
    }

    fn call<F>(&mut self, call: impl FnOnce(Box<dyn Source>) -> F)
    where
        F: Future<Output = (Box<dyn Source>, Answer)> + Send + 'static,
    {
        if let Some(source) = self.source.take() {
            self.guest.start(call(source).boxed());
        }
    }

    fn convert(&mut self) {
        let (Some(mut converter), Some((polled, traced))) = (self.converter.take(), self.polled.pop_front()) else {
            return;
        };
        let spawn = polled.records.len() >= SPAWN_RECORDS;
        let convert = async move {
            let converted = converter.convert_traced(polled, traced).await;
            (converter, converted)
        };
        self.converting.start(if spawn { aside("conversion", convert) } else { convert.map(Ok).boxed() });
    }

    fn write(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        let mut batches = std::mem::take(&mut self.ready);
        self.task.meters.work_waits(self.task.shared.clock.now_ms());
        let spawn = batches.iter().map(|batch| batch.records.len()).sum::<usize>() >= SPAWN_RECORDS;
        let appending = traced::take(&self.task, &mut batches);
        let write = async move {
            let written = writer.write(batches).await;
            if let Some(appending) = appending {
                appending.end(written.as_ref().err());
            }
            (writer, written)
        };
        self.writing.start(if spawn { aside("writing", write) } else { write.map(Ok).boxed() });
    }

    async fn answered(&mut self, answer: Answer) -> Result<Event, Failure> {
        match answer {
            Answer::Opened(Ok(())) => {
                self.retrying.worked();
                self.task.notice(Notice::Opened).await;
                Ok(Event::Opened)
            }
            Answer::Polled(Ok(polled)) => {
                self.retrying.worked();
                Ok(self.polled(*polled))
            }
            Answer::Acknowledged(Ok(())) => {
                self.delivering.clear();
                Ok(Event::Acknowledged)
            }
            Answer::KeptAlive(Ok(())) => Ok(Event::KeptAlive),
            Answer::Opened(Err(error)) => self.failed(Stage::Open, "opening the connector", &error),
            Answer::Polled(Err(error)) => self.failed(Stage::Poll, "polling", &error),
            Answer::KeptAlive(Err(error)) => self.failed(Stage::Poll, "keeping connections alive", &error),
            Answer::Acknowledged(Err(error)) => {
                let mut positions = std::mem::take(&mut self.delivering);
                merge_positions(&mut positions, std::mem::take(&mut self.positions));
                self.positions = positions;
                self.failed(Stage::SourceCommit, "acknowledging positions", &error)
            }
        }
    }

    fn polled(&mut self, polled: Polled) -> Event {
        let meters = &self.task.meters;
        meters.source_lag(polled.lag_ms, polled.lag_bytes);
        if !polled.records.is_empty() {
            meters.batch(polled.records.len());
        }
        let (something, progress) = (!polled.records.is_empty() || !polled.checkpoints.is_empty(), polled.progress);
        self.haste.polled(something, self.task.shared.clock.monotonic());
        if something {
            meters.work_waits(self.task.shared.clock.now_ms());
            let traced = traced::polled(&self.task, &polled.records, self.poll_began);
            self.polled.push_back((polled, traced));
        }
        Event::Polled { something, progress }
    }

    fn failed(&mut self, stage: Stage, doing: &str, error: &ConnectorError) -> Result<Event, Failure> {
        let failure = self.task.failure(doing, error);
        if error.kind() != Kind::Retry {
            return Err(failure);
        }
        self.task.note_error("", error.code(), failure.message.clone());
        let delay =
            self.retrying.failed(stage, error.code(), failure.message.clone(), wait_of(error)).ok_or(failure)?;
        self.pause_ends = Some(Instant::now() + delay);
        Ok(Event::GuestFailed)
    }

    fn converted(&mut self, (converter, converted): Conversion) -> Result<Event, Failure> {
        self.converter = Some(converter);
        match converted {
            Ok(ready) => {
                let bytes = ready.bytes();
                self.ready.push(ready);
                Ok(Event::Converted { bytes })
            }
            Err(halt) => self.halted(halt),
        }
    }

    fn written(&mut self, (writer, written): Writing) -> Result<Event, Failure> {
        self.writer = Some(writer);
        match written {
            Ok(positions) => {
                let any = !positions.is_empty();
                merge_positions(&mut self.positions, positions);
                if self.ready.is_empty() && self.polled.is_empty() {
                    self.task.meters.nothing_waits();
                }
                Ok(Event::Written { positions: any })
            }
            Err(halt) => self.halted(halt),
        }
    }

    fn halted(&mut self, halt: Halt) -> Result<Event, Failure> {
        match halt {
            Halt::Abandoned => {
                self.polled.clear();
                self.ready.clear();
                Ok(Event::Abandoned)
            }
            Halt::Failed(failure) => Err(failure),
        }
    }

    /// A guest that is not called for long is asked to keep its connections alive.
    fn arm_keep_alive(&mut self) {
        let free = self.source.is_some() && self.pause_ends.is_none();
        if free {
            self.keep_alive_at.get_or_insert_with(|| Instant::now() + self.task.shared.limits.keep_alive);
        } else {
            self.keep_alive_at = None;
        }
        let behind = self.machine.log_is_behind();
        if behind && !self.was_behind {
            tracing::debug!(task = %self.task.id, "the log is behind: the source waits");
        }
        self.was_behind = behind;
    }

    async fn close(mut self) -> Result<(), Failure> {
        if let Some(mut source) = self.source.take() {
            source.close().await;
        }
        Ok(())
    }
}
