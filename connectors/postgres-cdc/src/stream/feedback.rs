//! What the server and the task tell each other beside changes: how far all is durable, and how far the log reaches.
//!
//! Positions without records are delivered now and then, so that a slot moves on while its tables rest.

use std::time::Duration;

use super::Stream;
use crate::config::Settings;
use crate::error::Error;
use crate::offset::Position;
use crate::wire::StandbyStatus;

/// What the server was last told, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) at: Duration,
    pub(super) durable: u64,
}

/// A position this far ahead of the one delivered is worth a commit of its own at once, and then a word to the server.
const ADVANCE_BYTES: u64 = 2 << 20;
/// A position alone is delivered at most this often otherwise: each costs the log a write.
const ADVANCE_PAUSE: Duration = Duration::from_secs(1);
/// The server hears of durable positions that are less far ahead at most this often while changes flow.
const FEEDBACK_PAUSE: Duration = Duration::from_millis(100);
/// After so much silence the server is asked for a sign of life.
const SILENCE: Duration = Duration::from_secs(5);
/// How often the server is asked for its position while the stream heads for one.
const ASK_PAUSE: Duration = Duration::from_millis(50);
/// How often the server hears of us while we do not read, and so do not see it ask.
const UNREAD_PAUSE: Duration = Duration::from_millis(500);

impl Stream {
    /// Tells the server how far we are. Invariant 1: what counts as flushed is only what is durable downstream.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn tell(&mut self, reply: bool) -> Result<(), Error> {
        let now = self.clock.monotonic();
        // A server that has nothing to send is as silent as one that is dead: it is asked. While nothing is read, no answer is seen.
        let reply = reply || (self.replay.is_none() && self.connection.silent_for() >= SILENCE);
        let status =
            StandbyStatus { received: self.received, durable: self.durable, now_us: self.clock.now_ms() * 1000, reply };
        self.connection.send(&status.to_bytes())?;
        if reply && self.replay.is_none() {
            self.connection.expect_sign_of_life();
        }
        self.told = Told { at: now, durable: self.durable };
        self.reply = false;
        Ok(())
    }

    /// Tells the server, when it is time to.
    pub(super) fn tell_when_due(&mut self, settings: &Settings) -> Result<(), Error> {
        if self.reply || self.clock.monotonic() >= self.next_told(settings) {
            return self.tell(self.start.until.is_some());
        }
        Ok(())
    }

    /// When the server is next to be told.
    pub(super) fn next_told(&self, settings: &Settings) -> Duration {
        let news = self.durable.saturating_sub(self.told.durable);
        let pause = if self.start.until.is_some() {
            ASK_PAUSE
        } else if news >= ADVANCE_BYTES {
            Duration::ZERO
        } else if news > 0 {
            FEEDBACK_PAUSE
        } else if self.replay.is_some() {
            UNREAD_PAUSE
        } else {
            settings.status_interval
        };
        self.told.at + pause.min(settings.status_interval)
    }

    /// Whether a position without records is worth delivering: after a while, or when much log could be let go of.
    pub fn is_advance_due(&self, settings: &Settings) -> bool {
        let (delivered, at) = self.delivered;
        if self.position <= delivered {
            return false;
        }
        if settings.whole_transactions && (self.is_end_due || self.transaction.is_some()) {
            // Nothing is seen of the transaction before its end is delivered, and a position inside of it would be taken for that.
            return self.is_end_due;
        }
        let waited = self.clock.monotonic().saturating_sub(at) >= settings.status_interval.min(ADVANCE_PAUSE);
        waited || self.position.lsn.saturating_sub(delivered.lsn) >= ADVANCE_BYTES
    }

    /// The position was delivered.
    pub fn set_delivered(&mut self) {
        self.delivered = (self.position, self.clock.monotonic());
        self.is_end_due = false;
    }

    pub(super) fn keepalive(&mut self, wal_end: u64, reply: bool) {
        self.received = self.received.max(wal_end);
        self.reply |= reply;
        if self.transaction.is_none() {
            // All that commits before `wal_end` was sent, and has been read. What is kept of open transactions commits later.
            let end = self.start.until.map_or(wal_end, |until| wal_end.min(until));
            self.position = self.position.max(Position { lsn: end, ordinal: 0 });
            self.reached = self.start.until.is_some_and(|until| wal_end >= until);
        }
    }
}
