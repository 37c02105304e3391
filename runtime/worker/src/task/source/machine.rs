//! What a source task does next. Pure: no clock, no IO, no async.
//!
//! ```text
//!            Poll                  Convert                Write                Acknowledge
//! guest ───────────▶ unconverted ──────────▶ ready ──────────────▶ durable ──────────────▶ guest
//! ```
//! The guest polls while the batch before is converted and those before that are written, so the four overlap; each of them
//! has at most one call under way, which keeps the order (invariant 4). Everything ready goes into one write. A source that
//! had nothing more at its last poll is left alone while a batch already waits for the write under way: what comes meanwhile
//! gathers with the source and makes one batch instead of many, without reaching the log any later. A position goes back to
//! the guest only when it is durable (invariant 1), before the next poll and, if the guest waits in a poll, by interrupting it.

use towpath_model::Progress;

use crate::task::Wanted;

/// The most batches between guest and converter, the one being converted included.
const UNCONVERTED_MAX: u32 = 2;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Wanted(Wanted),
    /// The guest is open.
    Opened,
    /// A poll answered; `something` says that it brought records or positions.
    Polled {
        something: bool,
        progress: Progress,
    },
    /// The guest took the positions.
    Acknowledged,
    /// The guest has looked after its connections.
    KeptAlive,
    /// A call into the guest failed in a way that may pass.
    GuestFailed,
    /// The pause after that is over.
    GuestPauseOver,
    /// A batch is converted, and is now ready; its weight in bytes.
    Converted {
        bytes: usize,
    },
    /// What is ready has gathered for as long as it may.
    GatheringOver,
    /// Everything that the write had taken is durable; `positions` says whether there are any for the guest.
    Written {
        positions: bool,
    },
    /// The guest has waited long enough in its poll for positions to be handed to it.
    InterruptDue,
    /// The guest has not been called for long.
    KeepAliveDue,
    /// Conversion or write was waiting to be repeated when the task was told to stop: what they had is not durable and is
    /// read again at the next start.
    Abandoned,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Open,
    Poll,
    Acknowledge,
    KeepAlive,
    /// Convert the oldest unconverted batch.
    Convert,
    /// Write everything that is ready, in order, in one commit.
    Write,
    /// Let what is ready gather for the interval of the transaction's boundary.
    Gather,
    /// End the guest's wait now.
    Interrupt,
    /// End the guest's wait in a little while, if it still waits then.
    InterruptSoon,
    /// Close the guest and end.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guest {
    Opening,
    Free,
    Polling,
    Acknowledging,
    KeepingAlive,
    /// Waiting before the next call, whichever it is.
    Pausing {
        open: bool,
    },
    Closed,
}

/// Whether what is ready waits for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gathering {
    /// Nothing ever waits.
    Off,
    /// The first of it makes the interval begin.
    Ready,
    /// The interval has begun.
    Under,
    /// It is over.
    Over,
}

/// The state of a source task.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    wanted: Wanted,
    guest: Guest,
    unconverted: u32,
    converting: bool,
    ready: u32,
    ready_bytes: usize,
    ready_bytes_max: usize,
    gathering: Gathering,
    writing: bool,
    /// There are durable positions that the guest does not know of.
    positions: bool,
    interrupted: bool,
    /// The last poll brought all that the source had.
    caught_up: bool,
    finished: bool,
    keep_alive_due: bool,
    abandoned: bool,
}

impl Machine {
    /// A task that is not open yet; no poll begins while this many bytes or more are ready to be written. With `gathers` what is
    /// ready waits for an interval to end before it is written, or until there is no room for more.
    pub(super) fn new(wanted: Wanted, ready_bytes_max: usize, gathers: bool) -> Self {
        Self {
            wanted,
            guest: Guest::Opening,
            unconverted: 0,
            converting: false,
            ready: 0,
            ready_bytes: 0,
            ready_bytes_max,
            gathering: if gathers { Gathering::Ready } else { Gathering::Off },
            writing: false,
            positions: false,
            interrupted: false,
            caught_up: false,
            finished: false,
            keep_alive_due: false,
            abandoned: false,
        }
    }

    /// The first action.
    pub(super) fn begin(&self) -> Action {
        Action::Open
    }

    /// Whether the guest waits for what comes next although it could be polled: the log is behind.
    pub(super) fn log_is_behind(&self) -> bool {
        self.guest == Guest::Free && !self.has_room() && self.wanted == Wanted::Run
    }

    /// Takes in an event and says what to do.
    pub(super) fn on(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Wanted(wanted) => self.wanted = if self.wanted == Wanted::Stop { Wanted::Stop } else { wanted },
            Event::Opened | Event::Acknowledged | Event::KeptAlive => self.guest = Guest::Free,
            Event::Polled { something, progress } => {
                self.guest = Guest::Free;
                self.interrupted = false;
                self.unconverted += u32::from(something);
                self.caught_up = progress == Progress::Idle;
                self.finished |= progress == Progress::Finished;
            }
            Event::GuestFailed => {
                self.interrupted = false;
                self.positions |= self.guest == Guest::Acknowledging;
                self.guest = Guest::Pausing { open: self.guest != Guest::Opening };
            }
            Event::GuestPauseOver => {
                if let Guest::Pausing { open } = self.guest {
                    self.guest = if open { Guest::Free } else { Guest::Opening };
                    if !open && self.wanted != Wanted::Stop {
                        return vec![Action::Open];
                    }
                }
            }
            Event::Converted { bytes } => {
                self.converting = false;
                self.unconverted = self.unconverted.saturating_sub(1);
                self.ready += 1;
                self.ready_bytes += bytes;
            }
            Event::GatheringOver => self.gathering = Gathering::Over,
            Event::Written { positions } => {
                self.writing = false;
                self.positions |= positions;
            }
            Event::InterruptDue => {
                return if self.guest == Guest::Polling && self.positions { self.interrupt() } else { vec![] };
            }
            Event::KeepAliveDue => self.keep_alive_due = true,
            Event::Abandoned => {
                self.abandoned = true;
                self.converting = false;
                self.writing = false;
                self.unconverted = 0;
                self.ready = 0;
                self.ready_bytes = 0;
            }
        }
        self.next()
    }

    fn next(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.unconverted > 0 && !self.converting && !self.abandoned {
            self.converting = true;
            actions.push(Action::Convert);
        }
        if self.ready > 0 && !self.writing && !self.abandoned {
            actions.extend(self.write());
        }
        match self.guest {
            Guest::Free => actions.extend(self.call()),
            Guest::Polling if self.wanted != Wanted::Run => actions.extend(self.interrupt()),
            Guest::Polling if self.positions && !self.interrupted => actions.push(Action::InterruptSoon),
            // Stopping does not wait for a repetition: nothing of it was acknowledged.
            Guest::Pausing { .. } if self.wanted == Wanted::Stop && self.idle() => {
                self.guest = Guest::Closed;
                actions.push(Action::Close);
            }
            _ => {}
        }
        actions
    }

    /// What becomes of what is ready.
    fn write(&mut self) -> Option<Action> {
        let no_more = self.wanted != Wanted::Run || self.finished || self.ready_bytes >= self.ready_bytes_max;
        match self.gathering {
            Gathering::Ready if !no_more => {
                self.gathering = Gathering::Under;
                return Some(Action::Gather);
            }
            Gathering::Under if !no_more => return None,
            Gathering::Over => self.gathering = Gathering::Ready,
            _ => {}
        }
        self.writing = true;
        self.ready = 0;
        self.ready_bytes = 0;
        Some(Action::Write)
    }

    /// What to call the free guest for.
    fn call(&mut self) -> Option<Action> {
        if self.positions {
            self.positions = false;
            self.guest = Guest::Acknowledging;
            return Some(Action::Acknowledge);
        }
        if self.wanted == Wanted::Stop && self.idle() {
            self.guest = Guest::Closed;
            return Some(Action::Close);
        }
        if self.wanted == Wanted::Run && self.has_room() && !self.gathers() {
            self.guest = Guest::Polling;
            self.keep_alive_due = false;
            return Some(Action::Poll);
        }
        if self.keep_alive_due {
            self.keep_alive_due = false;
            self.guest = Guest::KeepingAlive;
            return Some(Action::KeepAlive);
        }
        None
    }

    fn has_room(&self) -> bool {
        !self.finished && self.unconverted < UNCONVERTED_MAX && self.ready_bytes < self.ready_bytes_max
    }

    /// Whether what the source has next would wait all the same, and may as well gather there.
    fn gathers(&self) -> bool {
        self.caught_up && self.writing && self.unconverted + self.ready > 0
    }

    /// Whether nothing is between the guest and the log.
    fn idle(&self) -> bool {
        self.unconverted == 0 && self.ready == 0 && !self.writing && !self.converting
    }

    fn interrupt(&mut self) -> Vec<Action> {
        if std::mem::replace(&mut self.interrupted, true) { vec![] } else { vec![Action::Interrupt] }
    }
}

#[cfg(test)]
mod tests;
