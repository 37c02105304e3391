//! Carries out what the machine of a sink task decides: owns the guest, the fetcher and the committer, waits for all of them in
//! one place, and feeds what happens back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use towpath_log::GroupOffset;
use towpath_model::{Coded, ConnectorError, Flushed, Interrupt, Kind, Sink, TopicPartition, crash_point};

use super::assignment::{self, Start};
use super::commit::Committer;
use super::fetch::{Fetched, Fetcher, Miss};
use super::lanes::Lanes;
use super::letters::Letters;
use super::machine::{Action, Event, Machine};
use super::put::Delivery;
use crate::errors::{DeadLetters, Stage};
use crate::handle::consumer_group;
use crate::settings::{SinkSettings, TaskSettings};
use crate::task::calls::{Call, aside, moment};
use crate::task::retry::Retrying;
use crate::task::topics::UsedTopics;
use crate::task::{Failure, Halt, Task, Wanted};

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
    pub(super) dead_letters: Option<DeadLetters>,
    pub(super) retrying: Retrying,
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
                self.fetched = None;
                self.lanes.drop_fetched();
            }
            Action::Put => self.put(),
            Action::Flush => {
                self.flush_at = None;
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
            _ if void => {
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
            self.letters.add(std::mem::take(&mut fetched.letters));
            self.delivery = Delivery::new(fetched);
        }
        let chunk = self.delivery.chunk(self.settings.batch.records as usize, &mut self.lanes).clone();
        if !chunk.records.is_empty() {
            self.used.of(&self.task, &chunk.records, |run| run.origin);
            self.task.meters.batch(chunk.records.len());
            self.task.meters.work_waits(self.task.shared.clock.now_ms());
        }
        self.call(move |mut sink| async move {
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
        let offsets = self.lanes.to_commit(&self.group);
        let passed = |partition: &TopicPartition, first: i64| {
            offsets
                .iter()
                .any(|entry| entry.partition == *partition && entry.offset.is_some_and(|offset| offset > first))
        };
        let letters = self.letters.due(passed);
        self.committing.start(
            async move {
                let committed = committer.commit(offsets, letters).await;
                (committer, committed)
            }
            .boxed(),
        );
    }

    async fn close(mut self) -> Result<(), Failure> {
        if let Some(mut sink) = self.sink.take() {
            sink.close().await;
        }
        Ok(())
    }
}
