//! What a sink task does next. Pure: no clock, no IO, no async.
//!
//! ```text
//!        Fetch (and convert)      Put                Flush              Commit
//! log ──────────────────▶ fetched ─────▶ handed over ───────▶ flushed ──────────▶ log
//! ```
//! One batch is fetched while the one before is put, and offsets are committed while the next batch is put; calls into the guest
//! never overlap, and no flush begins before the offsets of the one before are committed.

use crate::task::Wanted;

/// A call into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open,
    Reassign,
    Put,
    Flush,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Wanted(Wanted),
    Opened,
    /// Topics came or went: the task's partitions may be others now.
    TopicsChanged,
    /// The guest knows its partitions; `any` says whether there are some.
    Reassigned {
        any: bool,
    },
    /// `something`: records are there to be put, or none are left of a batch and offsets move on.
    Fetched {
        something: bool,
    },
    /// A fetch found that a topic is no more.
    TopicsGone,
    /// The batch is dealt with, or `more` of it is left.
    Put {
        more: bool,
    },
    /// `commit`: there are offsets or dead letters to write. `refetch`: what was fetched ahead, and what was being put, is void.
    /// `pause`: not at once.
    Flushed {
        commit: bool,
        refetch: bool,
        pause: bool,
    },
    Committed,
    /// A flush is due, by the guest's wish or the worker's interval.
    FlushDue,
    /// The step failed in a way that may pass.
    Failed(Step),
    PauseOver,
    /// The commit was waiting to be repeated when the task was told to stop.
    Abandoned,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Open,
    /// Tell the guest its partitions. What was fetched ahead is void.
    Reassign,
    Fetch,
    /// Drop the fetch under way and what was fetched ahead.
    DropFetched,
    Put,
    Flush,
    Commit,
    Close,
}

/// The state of a sink task.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    wanted: Wanted,
    open: bool,
    /// A call into the guest is under way.
    calling: bool,
    /// The step that failed and is waiting to be repeated.
    blocked: Option<Step>,
    reassign: bool,
    partitions: bool,
    fetching: bool,
    fetched: bool,
    /// There is something to put: the fetched batch, or what is left of one.
    putting: bool,
    flush_due: bool,
    unflushed: bool,
    committing: bool,
    closed: bool,
}

impl Machine {
    /// A task that is not open yet.
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            open: false,
            calling: true,
            blocked: None,
            reassign: true,
            partitions: false,
            fetching: false,
            fetched: false,
            putting: false,
            flush_due: false,
            unflushed: false,
            committing: false,
            closed: false,
        }
    }

    /// The first action.
    pub(super) fn begin(&self) -> Action {
        Action::Open
    }

    /// Takes in an event and says what to do.
    pub(super) fn on(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Wanted(wanted) => self.wanted = if self.wanted == Wanted::Stop { Wanted::Stop } else { wanted },
            Event::Opened => {
                self.calling = false;
                self.open = true;
            }
            Event::TopicsChanged => self.reassign = true,
            Event::Reassigned { any } => {
                self.calling = false;
                self.partitions = any;
                self.unflushed |= any;
            }
            Event::Fetched { something } => {
                self.fetching = false;
                self.fetched = something;
            }
            Event::TopicsGone => {
                self.fetching = false;
                self.reassign = true;
            }
            Event::Put { more } => {
                self.calling = false;
                self.putting = more;
                self.unflushed = true;
            }
            Event::Flushed { commit, refetch, pause } => {
                self.calling = false;
                self.unflushed = false;
                self.committing = commit;
                let mut actions = Vec::new();
                if commit {
                    actions.push(Action::Commit);
                }
                if refetch {
                    self.putting = false;
                    self.blocked = pause.then_some(Step::Reassign);
                    actions.extend(self.drop_fetched());
                }
                actions.extend(self.next());
                return actions;
            }
            Event::Committed => self.committing = false,
            Event::FlushDue => self.flush_due = true,
            Event::Failed(step) => {
                self.calling = false;
                self.blocked = Some(step);
            }
            Event::PauseOver => match self.blocked.take() {
                Some(Step::Reassign) => self.reassign = true,
                Some(Step::Flush) => self.flush_due = true,
                Some(Step::Put) => self.putting = true,
                Some(Step::Open) | None => {}
            },
            Event::Abandoned => {
                self.committing = false;
                self.unflushed = false;
            }
        }
        self.next()
    }

    fn next(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.closed {
            return actions;
        }
        if !self.calling {
            actions.extend(self.call());
        }
        let ahead = self.fetching || self.fetched;
        if self.wanted != Wanted::Run {
            if self.fetching {
                // Nothing is lost: what was not handed over is fetched again.
                self.fetching = false;
                actions.push(Action::DropFetched);
            }
        } else if self.open && self.partitions && !ahead && !self.reassign && !self.closed {
            self.fetching = true;
            actions.push(Action::Fetch);
        }
        actions
    }

    /// What to call the free guest for.
    fn call(&mut self) -> Vec<Action> {
        let stopping = self.wanted == Wanted::Stop;
        if !self.open {
            return match self.blocked {
                _ if stopping => self.close(),
                None => self.step(Action::Open),
                Some(_) => vec![],
            };
        }
        if stopping {
            // Stopping does not wait for repetitions; what was handed over is flushed and committed.
            return match self.blocked {
                _ if self.committing => vec![],
                Some(Step::Flush | Step::Reassign) => self.close(),
                _ if self.unflushed => self.flush(),
                _ => self.close(),
            };
        }
        match self.blocked {
            Some(Step::Put) if self.flush_due && !self.committing => return self.flush(),
            Some(_) => return vec![],
            None => {}
        }
        if self.flush_due && !self.committing {
            return self.flush();
        }
        if self.reassign && !self.putting && !self.committing {
            if self.unflushed && self.partitions {
                return self.flush();
            }
            self.reassign = false;
            self.partitions = false;
            let mut actions = self.drop_fetched();
            actions.extend(self.step(Action::Reassign));
            return actions;
        }
        if self.wanted == Wanted::Run && (self.putting || self.fetched && !self.reassign) {
            if !self.putting {
                self.putting = true;
                self.fetched = false;
            }
            return self.step(Action::Put);
        }
        vec![]
    }

    fn flush(&mut self) -> Vec<Action> {
        self.flush_due = false;
        self.step(Action::Flush)
    }

    fn close(&mut self) -> Vec<Action> {
        self.closed = true;
        vec![Action::Close]
    }

    fn step(&mut self, action: Action) -> Vec<Action> {
        self.calling = true;
        vec![action]
    }

    fn drop_fetched(&mut self) -> Vec<Action> {
        let ahead = std::mem::take(&mut self.fetching) | std::mem::take(&mut self.fetched);
        if ahead { vec![Action::DropFetched] } else { vec![] }
    }
}

#[cfg(test)]
mod tests;
