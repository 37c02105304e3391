//! Readers beside a task, as the host runs them: shares and reports cross as bytes, and who comes next is a matter of chance.

use std::sync::Arc;

use towpath_model::{Config, Polled, Progress, SystemClock};
use towpath_postgres_cdc::config::Settings;
use towpath_postgres_cdc::error::Error;
use towpath_postgres_cdc::snapshot::{Reader, Report, Share, Turn};
use towpath_postgres_cdc::task::{Run, Task};

use super::dice::Dice;
use super::log::{Log, limits};
use super::native::Native;

pub(crate) struct Crowd {
    config: Config,
    host: Arc<Native>,
    max: usize,
    free: Vec<Reader>,
    busy: Vec<Reader>,
    pub(crate) dice: Dice,
}

impl Crowd {
    pub(crate) fn new(config: &Config, host: &Arc<Native>, max: usize, seed: u64) -> Self {
        let (config, host) = (config.clone(), host.clone());
        Self { config, host, max, free: Vec::new(), busy: Vec::new(), dice: Dice(seed) }
    }

    /// How many are in the middle of a share.
    pub(crate) fn busy(&self) -> usize {
        self.busy.len()
    }

    /// All of them are gone at once.
    pub(crate) fn die(&mut self) {
        (self.free, self.busy) = (Vec::new(), Vec::new());
    }

    /// One poll as the worker sees it: of the task, or of one of its readers. The log takes what comes.
    pub(crate) fn poll(&mut self, task: &mut Task, log: &mut Log, records: usize) -> Result<Progress, Error> {
        let polled = self.answer(task, records);
        if polled.is_err() {
            self.die();
            task.recall();
        }
        let polled = polled?;
        log.take(&polled);
        if !polled.checkpoints.is_empty() {
            task.commit(&polled.checkpoints)?;
        }
        Ok(polled.progress)
    }

    fn answer(&mut self, task: &mut Task, records: usize) -> Result<Polled, Error> {
        loop {
            let free = u32::try_from(self.max - self.busy.len()).expect("few");
            match task.turn(free)? {
                Turn::Task => return task.poll(limits(records)),
                Turn::Share(share) => {
                    assert!(free > 0, "a share for nobody");
                    let share = Share::parse(&share.to_bytes()?)?;
                    let mut reader = self.free.pop().unwrap_or_else(|| self.reader());
                    reader.begin(share)?;
                    self.busy.push(reader);
                }
                Turn::Wait => {
                    let which = self.dice.throw(self.busy.len() as u64) as usize;
                    let part = self.busy[which].read(limits(records))?;
                    let Some(report) = part.report else { continue };
                    if report.done {
                        self.free.push(self.busy.remove(which));
                    }
                    let checkpoints = task.fold(Report::parse(&report.to_bytes()?)?)?;
                    return Ok(Polled {
                        records: part.records,
                        checkpoints,
                        progress: Progress::More,
                        lag_ms: None,
                        lag_bytes: None,
                        transaction_ends: Vec::new(),
                    });
                }
            }
        }
    }

    fn reader(&self) -> Reader {
        let settings = Settings::parse(&self.config).expect("valid");
        let run = Run { task: 0, id: "run".into() };
        Reader::new(settings, &run, self.host.clone(), Arc::new(SystemClock::default()))
    }

    /// Polls until `done` holds of the log. Passing errors are followed by another poll.
    pub(crate) fn poll_until(&mut self, task: &mut Task, log: &mut Log, records: usize, done: impl Fn(&Log) -> bool) {
        for _ in 0..5000 {
            match self.poll(task, log, records) {
                Ok(_) => {}
                Err(error) if error.is_passing() => std::thread::park_timeout(std::time::Duration::from_millis(5)),
                Err(error) => panic!("{error}"),
            }
            if done(log) {
                return;
            }
        }
        panic!("it never came about; the log holds {} records", log.records.len());
    }
}
