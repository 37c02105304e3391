//! Carries out what the machine of a sink task decides: owns the guest, the fetcher and the committer, waits for all of them in
//! one place, and feeds what happens back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use towpath_log::{Error as LogError, GroupOffset};
use towpath_model::{Coded, ConnectorError, Flushed, Interrupt, Kind, Record, Sink, TopicPartition, crash_point};

use super::assignment::{self, Start};
use super::commit::Committer;
use super::deferred::{Deferring, id_of};
use super::fetch::{Fetched, Fetcher, Miss};
use super::lanes::Lanes;
use super::letters::Letters;
use super::machine::{Action, Event, Machine};
use super::put::Delivery;
use super::traced::Tracking;
use crate::answers::RecordId;
use crate::errors::{DeadLetters, Stage};
use crate::handle::consumer_group;
use crate::settings::{SinkSettings, TaskSettings};
use crate::task::calls::{Call, aside, moment};
use crate::task::pace::Pace;
use crate::task::retry::Retrying;
use crate::task::topics::UsedTopics;
use crate::task::traces::Fault;
use crate::task::{Failure, Halt, Task, Wanted};

/// The least time that other records have, between two turns of deferred ones.
const TURN: Duration = Duration::from_millis(50);
/// How often the lag is looked at while nothing else happens.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

type Guest = Box<dyn Sink>;

/// What the guest answered to which call, and when it wants to flush next.
pub(super) enum Answer {
    Opened(Result<(), ConnectorError>),
    Reassigned(Result<Option<Duration>, ConnectorError>),
    Put(Result<(), ConnectorError>, Result<Option<Duration>, ConnectorError>),
    Flushed(Result<(Flushed, Option<Duration>), ConnectorError>),
}

pub(super) struct Driver {
    pub(super) task: Arc<Task>,
    pub(super) settings: TaskSettings,
    pub(super) sink_settings: SinkSettings,
    machine: Machine,
    wanted: watch::Receiver<Wanted>,
    topics: watch::Receiver<u64>,
    interrupt: Arc<dyn Interrupt>,
    /// The guest, while no call into it is under way.
    sink: Option<Guest>,
    guest: Call<(Guest, Answer)>,
    fetcher: Option<Fetcher>,
    fetching: Call<Result<(Fetcher, Result<Fetched, Miss>), Failure>>,
    cancel: Arc<Notify>,
    /// The fetch under way is void.
    fetch_void: bool,
    /// A fetch is wanted as soon as the void one has ended.
    fetch_wanted: bool,
    committer: Option<Committer>,
    committing: Call<(Committer, Result<Vec<GroupOffset>, Halt>)>,
    pub(super) group: Arc<str>,
    pub(super) lanes: Lanes,
    used: UsedTopics,
    /// The partitions that the guest knows to be its own.
    pub(super) told: BTreeSet<TopicPartition>,
    fetched: Option<Fetched>,
    pub(super) delivery: Delivery,
    pub(super) letters: Letters,
    pub(super) tracking: Tracking,
    /// Records that are put again while others pass them, where the configuration wants that.
    pub(super) deferring: Option<Deferring>,
    following: Call<Result<Option<towpath_log::Fetched>, LogError>>,
    /// A deferred record may be put from then on, whatever fetch is under way.
    deferred_at: Option<Instant>,
    pub(super) dead_letters: Option<DeadLetters>,
    pub(super) retrying: Retrying,
    pace: Pace,
    /// Before the first put, because an earlier start was told to wait.
    resumed_wait: Option<Duration>,
    pub(super) pause_ends: Option<Instant>,
    pub(super) flush_at: Option<Instant>,
    lag_at: Instant,
}

impl Driver {
    pub(super) async fn new(task: Arc<Task>, settings: TaskSettings, sink: SinkSettings) -> Result<Self, Failure> {
        let made = task.plugin.sink(task.context()).await;
        let (guest, interrupt) = made.map_err(|error| task.failure("starting the connector", &error))?;
        let cancel = Arc::new(Notify::new());
        let stages = [Stage::Put, Stage::Flush, Stage::Open];
        let retrying = Retrying::new(&task, settings.retry, &stages);
        let wanted = task.wanted.clone();
        let begins = *wanted.borrow();
        Ok(Self {
            machine: Machine::new(begins),
            topics: task.shared.log.topic_changes(),
            fetcher: Some(Fetcher::new(&task, &settings, cancel.clone()).await?),
            committer: Some(Committer::new(&task, &settings)?),
            group: consumer_group(&task.id.connector).into(),
            dead_letters: DeadLetters::new(&settings.errors, &task.id),
            resumed_wait: retrying.resumed_wait(),
            pace: Pace::new(settings.rate),
            sink: Some(guest),
            guest: Call::default(),
            fetching: Call::default(),
            committing: Call::default(),
            lanes: Lanes::default(),
            used: UsedTopics::default(),
            told: BTreeSet::new(),
            fetched: None,
            delivery: Delivery::default(),
            letters: Letters::default(),
            tracking: Tracking::default(),
            deferring: Deferring::open(&task, settings.retry, sink.defers).await?,
            following: Call::default(),
            deferred_at: None,
            fetch_void: false,
            fetch_wanted: false,
            pause_ends: None,
            flush_at: None,
            lag_at: Instant::now() + LAG_INTERVAL,
            sink_settings: sink,
            cancel,
            retrying,
            wanted,
            interrupt,
            settings,
            task,
        })
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        if let Some(wait) = self.resumed_wait.take() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.wanted.wait_for(|wanted| *wanted == Wanted::Stop) => return Ok(()),
            }
        }
        self.follow();
        let mut actions = vec![self.machine.begin()];
        loop {
            for action in actions {
                match action {
                    Action::Close => return self.close().await,
                    action => self.perform(action)?,
                }
            }
            let event = self.next().await?;
            actions = event.map(|event| self.machine.on(event)).unwrap_or_default();
        }
    }

    /// Everything that can wake a sink task.
    async fn next(&mut self) -> Result<Option<Event>, Failure> {
        tokio::select! {
            changed = self.wanted.changed() => {
                let wanted = changed.map_or(Wanted::Stop, |()| *self.wanted.borrow_and_update());
                if wanted != Wanted::Run {
                    self.interrupt.raise();
                }
                Ok(Some(Event::Wanted(wanted)))
            }
            (sink, answer) = self.guest.answer() => {
                self.sink = Some(sink);
                self.answered(answer).await.map(Some)
            }
            answer = self.fetching.answer() => {
                let (fetcher, fetched) = answer?;
                self.fetcher = Some(fetcher);
                self.fetched(fetched)
            }
            (committer, committed) = self.committing.answer() => {
                self.committer = Some(committer);
                self.tracking.was_committed(&self.task, committed.as_ref().err().and_then(Fault::of));
                match committed {
                    Ok(offsets) => {
                        self.lanes.committed(&offsets);
                        self.show_lag();
                        Ok(Some(Event::Committed))
                    }
                    Err(Halt::Abandoned) => Ok(Some(Event::Abandoned)),
                    Err(Halt::Failed(failure)) => Err(failure),
                }
            }
            changed = self.topics.changed() => match changed {
                Ok(()) => Ok(self.assignment_changed().then_some(Event::TopicsChanged)),
                Err(_) => Err(Failure::internal("the log is gone")),
            },
            news = self.following.answer() => {
                self.heard(&news)?;
                Ok(None)
            }
            () = moment(self.deferred_at) => {
                self.deferred_at = None;
                if self.fetcher.is_none() {
                    self.cancel.notify_one();
                }
                Ok(None)
            }
            () = moment(self.pause_ends) => { self.pause_ends = None; Ok(Some(Event::PauseOver)) }
            () = moment(self.flush_at) => { self.flush_at = None; Ok(Some(Event::FlushDue)) }
            () = tokio::time::sleep_until(self.lag_at) => {
                self.lag_at = Instant::now() + LAG_INTERVAL;
                self.show_lag();
                Ok(None)
            }
        }
    }

    fn perform(&mut self, action: Action) -> Result<(), Failure> {
        match action {
            Action::Open => self.call(|mut sink| async move {
                let opened = sink.open().await;
                (sink, Answer::Opened(opened))
            }),
            Action::Reassign => self.reassign()?,
            Action::Fetch => self.fetch(),
            Action::DropFetched => {
                if self.fetcher.is_none() {
                    self.fetch_void = true;
                    self.cancel.notify_one();
                }
                self.fetch_wanted = false;
                if let Some(fetched) = self.fetched.take() {
                    Tracking::drops(&self.task, fetched);
                }
                self.lanes.drop_fetched();
                self.recall();
            }
            Action::Put => self.put(),
            Action::Flush => {
                self.flush_at = None;
                self.tracking.flushes(&self.task);
                let handed_over = self.lanes.handed_over();
                self.call(move |mut sink| async move {
                    let flushed = match sink.flush(&handed_over).await {
                        Ok(flushed) => sink.next_flush().await.map(|next| (flushed, next)),
                        Err(error) => Err(error),
                    };
                    (sink, Answer::Flushed(flushed))
                });
            }
            Action::Commit => self.commit(),
            Action::Close => {}
        }
        Ok(())
    }

    fn call<F>(&mut self, call: impl FnOnce(Guest) -> F)
    where
        F: Future<Output = (Guest, Answer)> + Send + 'static,
    {
        if let Some(sink) = self.sink.take() {
            self.guest.start(call(sink).boxed());
        }
    }

    fn reassign(&mut self) -> Result<(), Failure> {
        let wanted = self.wanted_partitions();
        // What the guest was told counts, not what the lanes say: a telling that failed is repeated.
        let gone: Vec<_> = self.told.difference(&wanted).cloned().collect();
        let new: Vec<_> = wanted.difference(&self.told).cloned().collect();
        self.lanes.retain(&wanted);
        let log = self.task.shared.log.clone();
        let committed = log.group_offsets(&self.group);
        for partition in new.iter().filter(|partition| !self.lanes.has(partition)).collect::<Vec<_>>() {
            let known = committed.iter().find(|offset| offset.partition == *partition);
            let start = assignment::start(log.as_ref(), partition, known, &self.sink_settings)?;
            let Start { offset, committed, metadata, out_of_range } = start;
            if out_of_range {
                self.task.meters.out_of_range.add(1);
                tracing::warn!(task = %self.task.id, %partition, offset, "the committed offset is not in the log any more");
            }
            self.lanes.add(partition.clone(), offset, committed, metadata);
        }
        let positions = self.lanes.starts(&new);
        self.call(|mut sink| async move {
            let told = async {
                if !gone.is_empty() {
                    sink.revoked(&gone).await?;
                }
                if !positions.is_empty() {
                    sink.assigned(&positions).await?;
                }
                sink.next_flush().await
            };
            let told = told.await;
            (sink, Answer::Reassigned(told))
        });
        Ok(())
    }

    fn wanted_partitions(&self) -> BTreeSet<TopicPartition> {
        let mut topics = self.task.shared.log.topics();
        // A pattern that matches its own dead letter queue would never end.
        topics.retain(|topic| self.settings.errors.dead_letter_topic.as_deref() != Some(&*topic.name));
        assignment::partitions(&topics, &self.sink_settings.topics, self.task.id.task, self.task.tasks)
    }

    fn assignment_changed(&mut self) -> bool {
        self.topics.mark_unchanged();
        !self.wanted_partitions().iter().eq(self.lanes.partitions())
    }

    fn fetch(&mut self) {
        let Some(mut fetcher) = self.fetcher.take() else {
            self.fetch_wanted = true;
            return;
        };
        let (now_ms, most) = (self.task.shared.clock.now_ms(), self.settings.batch.records as usize);
        let lanes = &self.lanes;
        if let Some(deferring) = &mut self.deferring {
            let owned = |id: &RecordId| lanes.has(&id.partition());
            let given = deferring.give(now_ms, most, owned);
            if !given.is_empty() {
                let topic = deferring.topic().to_owned();
                self.fetching.start(aside("fetching", async move {
                    let fetched = fetcher.fetch_deferred(&topic, &given).await;
                    (fetcher, fetched)
                }));
                return;
            }
            let next_ms = deferring.next_ms(owned);
            let wait = next_ms.map(|next| Duration::from_millis(u64::try_from(next - now_ms).unwrap_or(0)));
            self.deferred_at = wait.map(|wait| Instant::now() + wait.max(TURN));
        }
        let fetches = self.lanes.fetches();
        // Decompressing and converting the next batch keeps another core busy while the guest takes this one.
        self.fetching.start(aside("fetching", async move {
            let fetched = fetcher.fetch(fetches).await;
            (fetcher, fetched)
        }));
    }

    fn fetched(&mut self, fetched: Result<Fetched, Miss>) -> Result<Option<Event>, Failure> {
        let void = std::mem::take(&mut self.fetch_void);
        let fetched = match fetched {
            Err(Miss::Halt(Halt::Failed(failure))) => return Err(failure),
            unwanted if void => {
                if let Ok(unwanted) = unwanted {
                    Tracking::drops(&self.task, unwanted);
                }
                if std::mem::take(&mut self.fetch_wanted) {
                    self.fetch();
                }
                return Ok(None);
            }
            Ok(fetched) => fetched,
            // A permit that was left over from an earlier cancel; or the stop, which the machine hears of as well.
            Err(Miss::Cancelled) => Fetched::default(),
            Err(Miss::Halt(Halt::Abandoned)) => Fetched::default(),
            Err(Miss::Gone) => return Ok(Some(Event::TopicsGone)),
            Err(Miss::OutOfRange { partition, offset }) => {
                self.out_of_range(&partition, offset)?;
                Fetched::default()
            }
        };
        for (partition, next_offset, high_watermark) in &fetched.ends {
            self.lanes.fetched(partition, *next_offset, *high_watermark);
        }
        if fetched.deferred
            && let Some(deferring) = &mut self.deferring
        {
            deferring.found(fetched.original.records().map(|record| id_of(&record)));
        }
        // A batch of which nothing is left moves offsets all the same, in its turn.
        let something = !fetched.original.is_empty();
        if !fetched.records.is_empty() {
            self.task.meters.work_waits(self.task.shared.clock.now_ms());
        }
        if something {
            self.fetched = Some(fetched);
        }
        Ok(Some(Event::Fetched { something }))
    }

    fn put(&mut self) {
        if !self.delivery.more()
            && let Some(mut fetched) = self.fetched.take()
        {
            let letters = std::mem::take(&mut fetched.letters);
            self.tracking.begins(&self.task, fetched.traced.take(), &fetched.records);
            self.delivery = Delivery::new(fetched);
            match &mut self.deferring {
                Some(deferring) if self.delivery.is_deferred() => {
                    let now_ms = self.task.shared.clock.now_ms();
                    deferring.delivering();
                    deferring.dead_letters(letters);
                    self.delivery.vanished().iter().for_each(|record| deferring.done(&id_of(record), now_ms));
                }
                _ => self.letters.add(letters),
            }
        }
        let now_ms = self.task.shared.clock.now_ms();
        let is_deferred = self.delivery.is_deferred();
        let deferring = self.deferring.as_mut().filter(|deferring| !is_deferred && deferring.len() > 0);
        let parks = deferring.map(|deferring| |record: &Record<'_>| deferring.parks(record, now_ms));
        let chunk = self.delivery.chunk(self.settings.batch.records as usize, &mut self.lanes, parks).clone();
        self.seal_deferred();
        self.tracking.puts(&self.task, &chunk.records);
        let mut wait = Duration::ZERO;
        if !chunk.records.is_empty() {
            self.used.of(&self.task, &chunk.records, |run| run.origin);
            self.task.meters.batch(chunk.records.len());
            let now = self.task.shared.clock.monotonic();
            wait = self.pace.wait(now);
            self.pace.moved(now, chunk.records.len(), chunk.records.payload_bytes());
            self.task.meters.work_waits(self.task.shared.clock.now_ms());
        }
        self.call(move |mut sink| async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let put = if chunk.records.is_empty() { Ok(()) } else { sink.put(&chunk.records).await };
            crash_point("sink.after_put");
            // After a fatal error nothing but drop is allowed.
            let next = match &put {
                Err(error) if matches!(error.kind(), Kind::Fail | Kind::Invalid) => Ok(None),
                _ => sink.next_flush().await,
            };
            (sink, Answer::Put(put, next))
        });
    }

    fn commit(&mut self) {
        let Some(mut committer) = self.committer.take() else { return };
        self.tracking.commits(&self.task);
        let offsets = self.lanes.to_commit(&self.group);
        let passed = |partition: &TopicPartition, first: i64| {
            offsets
                .iter()
                .any(|entry| entry.partition == *partition && entry.offset.is_some_and(|offset| offset > first))
        };
        let mut letters = self.letters.due(passed);
        let mut retries = Vec::new();
        if let Some(deferring) = &mut self.deferring {
            let (more, rows) = deferring.due(passed);
            letters.extend(more);
            retries = rows;
        }
        self.committing.start(
            async move {
                let committed = committer.commit(offsets, letters, retries).await;
                (committer, committed)
            }
            .boxed(),
        );
    }

    /// What was fetched ahead of deferred records waits again.
    fn recall(&mut self) {
        if let Some(deferring) = &mut self.deferring {
            deferring.recall();
        }
    }

    /// Waits for news of the retry topic.
    fn follow(&mut self) {
        if let Some(deferring) = &self.deferring {
            self.following.start(deferring.follow(self.task.shared.log.clone()).boxed());
        }
    }

    fn heard(&mut self, news: &Result<Option<towpath_log::Fetched>, LogError>) -> Result<(), Failure> {
        let news = news.as_ref().map_err(|error| Failure::log("following the retry topic", error))?;
        if let (Some(news), Some(deferring)) = (news, &mut self.deferring) {
            deferring.take_in(news);
            self.task.meters.deferred(deferring.len());
            // What has come up may be due before what the fetch under way was to end for.
            if !news.records.is_empty() && self.fetcher.is_none() {
                self.deferred_at =
                    Some(self.deferred_at.map_or(Instant::now() + TURN, |at| at.min(Instant::now() + TURN)));
            }
        }
        self.follow();
        Ok(())
    }

    async fn close(mut self) -> Result<(), Failure> {
        if let Some(mut sink) = self.sink.take() {
            sink.close().await;
        }
        Ok(())
    }
}
