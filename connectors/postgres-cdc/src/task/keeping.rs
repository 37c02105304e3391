//! Who keeps large transactions while they are open: the task, or the server on its own disk.
//!
//! The task does unless the configuration says otherwise. When it cannot, it goes back to what is delivered and has the server
//! send transactions whole. It takes them back when the stream has passed the place where that happened and, after its scratch
//! files failed or the server could not decode what is open, at the earliest ten minutes later; twice as long each time it happens
//! again soon, up to some hours.

use std::time::Duration;

use towpath_model::Reading;

use super::{Phase, Task};
use crate::config::StreamingMode;
use crate::error::Error;
use crate::network::Level;
use crate::offset::show_lsn;
use crate::stream::{STREAMING_SINCE, Stream};

const PAUSE: Duration = Duration::from_secs(600);
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3600);
/// How long the server may take to let go of the slot.
const RELEASED_WITHIN: u32 = 40;
const RELEASE_STEP: Duration = Duration::from_millis(25);

/// Who keeps them.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Until when, and until which place of the log, the server does.
    by_server: Option<(Duration, u64)>,
    /// How long it did the last time, and when that ended.
    last: Option<(Duration, Duration)>,
}

impl Keeping {
    /// The server keeps them from now on, because of `error`. Answers for how long at least; none when that is no reason.
    fn hand_over(&mut self, error: &Error, now: Duration, received: u64) -> Option<Duration> {
        let (pause, place) = match error {
            Error::Unstreamable { end_lsn } => (Duration::ZERO, *end_lsn),
            _ if !matches!(error, Error::Scratch(_)) && !error.is_of_decoding() => return None,
            _ => {
                let pause = match self.last {
                    Some((pause, ended)) if now < ended + pause => (pause * 2).min(PAUSE_MAX),
                    _ => PAUSE,
                };
                self.last = Some((pause, now + pause));
                (pause, received)
            }
        };
        self.by_server = Some((now + pause, place));
        Some(pause)
    }

    /// Takes them back if it is time to, everything before `lsn` being delivered.
    fn take_back(&mut self, now: Duration, lsn: u64) -> bool {
        let is_over = self.by_server.is_some_and(|(time, place)| now >= time && lsn >= place);
        if is_over {
            self.by_server = None;
        }
        is_over
    }
}

impl Task {
    /// Whether a stream that begins now is to hold transactions that are still open.
    pub(super) fn is_streaming(&self) -> bool {
        // Where a transaction begins in the log, as the topic of transactions tells, is known only of those sent whole.
        self.settings.streaming != StreamingMode::Off
            && self.settings.transaction_topic.is_none()
            && self.catalog.version() >= STREAMING_SINCE
            && self.keeping.by_server.is_none()
    }

    /// Whether the stream can go on in another way after this error: then the task begins again at once.
    pub(super) fn can_do_without_streaming(&mut self, error: &Error) -> bool {
        if !self.is_streaming() {
            return false;
        }
        let now = self.clock.monotonic();
        let Some(pause) = self.keeping.hand_over(error, now, self.received) else { return false };
        match error {
            Error::Unstreamable { .. } => {
                self.host.log(Level::Info, format_args!("{error}: the server sends it again, whole"));
            }
            _ => self.host.log(
                Level::Warn,
                format_args!(
                    "{error}. The server keeps large transactions on its own disk for {} minutes at least, and beyond {}",
                    pause.as_secs() / 60,
                    show_lsn(self.received)
                ),
            ),
        }
        self.host.record(&[("streaming_handed_over", Reading::Counter(1))]);
        true
    }

    /// Goes back to keeping large transactions, if it is time to: the stream ends here and begins anew.
    pub(super) fn take_back(&mut self, stream: Box<Stream>) -> Result<Phase, Box<Stream>> {
        let now = self.clock.monotonic();
        // What is delivered counts, not what is read: from there the stream begins anew.
        let delivered = self.offset.as_ref().map_or(0, |offset| offset.position.lsn);
        if !stream.is_between_transactions() || !self.keeping.take_back(now, delivered) {
            return Err(stream);
        }
        stream.close();
        self.host.log(Level::Info, format_args!("large transactions are kept here again while they are open"));
        self.wait_for_slot();
        Ok(Phase::Down)
    }

    /// Waits a little for the server to see that our stream has ended.
    pub(super) fn wait_for_slot(&mut self) {
        for _ in 0..RELEASED_WITHIN {
            match self.catalog.slot(&self.settings.slot) {
                Ok(Some(slot)) if slot.active_pid.is_some() => {
                    self.host.pause(RELEASE_STEP);
                }
                // Whatever else there is to say is said when the task connects.
                _ => return,
            }
        }
    }

    /// Reports what is kept, where there is news.
    pub(super) fn report(&mut self, stream: &mut Stream) {
        self.received = stream.received();
        let mut readings = stream.take_readings().to_vec();
        let buffered = self.buffered;
        readings.retain(|(_, reading)| match reading {
            Reading::Counter(count) => *count > 0,
            Reading::Gauge(value) => *value != buffered,
        });
        for (_, reading) in &readings {
            if let Reading::Gauge(value) = reading {
                self.buffered = *value;
            }
        }
        if !readings.is_empty() {
            self.host.record(&readings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ServerError;
    use crate::scratch::ScratchError;

    #[test]
    fn the_server_keeps_them_for_a_time_and_up_to_a_place() {
        let mut keeping = Keeping::default();
        let full = Error::Scratch(ScratchError::Full("no".into()));
        let at = Duration::from_secs;
        assert_eq!(keeping.hand_over(&Error::Closed, at(0), 5), None);
        assert_eq!(keeping.hand_over(&full, at(100), 5), Some(PAUSE));
        assert!(!keeping.take_back(at(699), 5) && !keeping.take_back(at(700), 4));
        assert!(keeping.take_back(at(700), 5) && !keeping.take_back(at(701), 6));
        // Again soon, and then long after.
        assert_eq!(keeping.hand_over(&full, at(800), 9), Some(PAUSE * 2));
        assert_eq!(keeping.hand_over(&full, at(80_000), 9), Some(PAUSE));
        for _ in 0..20 {
            keeping.hand_over(&full, at(80_001), 9);
        }
        assert_eq!(keeping.hand_over(&full, at(80_002), 9), Some(PAUSE_MAX));
        // What the server cannot decode while it is open, it may decode whole.
        let mut keeping = Keeping::default();
        let decoding = |code: &str, during: &str| Error::Server {
            during: during.into(),
            error: ServerError { code: code.into(), ..ServerError::default() },
        };
        assert_eq!(keeping.hand_over(&decoding("XX000", "logging in"), at(0), 5), None);
        assert_eq!(keeping.hand_over(&decoding("57P01", "START_REPLICATION SLOT"), at(0), 5), None);
        assert_eq!(keeping.hand_over(&decoding("XX000", "START_REPLICATION SLOT"), at(0), 5), Some(PAUSE));
        // A transaction that only the server can put together: until it is through.
        assert_eq!(keeping.hand_over(&Error::Unstreamable { end_lsn: 20 }, at(0), 9), Some(Duration::ZERO));
        assert!(!keeping.take_back(at(0), 19) && keeping.take_back(at(0), 20));
    }
}
