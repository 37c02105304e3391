use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SOMETHING: Event = Event::Polled { something: true, progress: Progress::More };
/// All that the source had.
const LAST: Event = Event::Polled { something: true, progress: Progress::Idle };
const NOTHING: Event = Event::Polled { something: false, progress: Progress::Idle };

fn open() -> Machine {
    let mut machine = Machine::new(Wanted::Run, 100, false);
    assert_eq!(machine.begin(), Action::Open);
    assert_eq!(machine.on(Event::Opened), [Action::Poll]);
    machine
}

#[test]
fn polling_converting_and_writing_overlap() {
    let mut machine = open();
    assert_eq!(machine.on(SOMETHING), [Action::Convert, Action::Poll]);
    assert_eq!(machine.on(Event::Converted { bytes: 10 }), [Action::Write]);
    assert_eq!(machine.on(SOMETHING), [Action::Convert, Action::Poll]);
    assert_eq!(machine.on(Event::Converted { bytes: 10 }), [], "one write at a time");
    assert_eq!(machine.on(Event::Written { positions: true }), [Action::Write, Action::InterruptSoon]);
}

#[test]
fn the_guest_is_not_polled_while_enough_waits_for_the_log() {
    let mut machine = open();
    machine.on(SOMETHING);
    machine.on(Event::Converted { bytes: 100 });
    machine.on(SOMETHING);
    machine.on(Event::Converted { bytes: 100 });
    assert_eq!(machine.on(NOTHING), []);
    assert!(machine.log_is_behind());
    assert_eq!(machine.on(Event::KeepAliveDue), [Action::KeepAlive]);
    assert_eq!(machine.on(Event::KeptAlive), []);
    assert_eq!(machine.on(Event::Written { positions: true }), [Action::Write, Action::Acknowledge]);
    assert_eq!(machine.on(Event::Acknowledged), [Action::Poll]);
}

#[test]
fn two_batches_at_most_wait_for_conversion() {
    let mut machine = open();
    assert_eq!(machine.on(SOMETHING), [Action::Convert, Action::Poll]);
    assert_eq!(machine.on(SOMETHING), []);
    assert_eq!(machine.on(Event::Converted { bytes: 1 }), [Action::Convert, Action::Write, Action::Poll]);
}

#[test]
fn what_is_ready_gathers_for_its_interval_or_until_there_is_no_room_or_no_time() {
    let mut machine = Machine::new(Wanted::Run, 100, true);
    machine.on(Event::Opened);
    machine.on(SOMETHING);
    assert_eq!(machine.on(Event::Converted { bytes: 10 }), [Action::Gather]);
    machine.on(SOMETHING);
    assert_eq!(machine.on(Event::Converted { bytes: 10 }), [], "the interval has begun");
    assert_eq!(machine.on(Event::GatheringOver), [Action::Write]);
    machine.on(SOMETHING);
    machine.on(Event::Written { positions: true });
    let next = machine.on(Event::Converted { bytes: 10 });
    assert!(next.contains(&Action::Gather), "the next one begins with its first batch: {next:?}");
    machine.on(SOMETHING);
    let full = machine.on(Event::Converted { bytes: 90 });
    assert!(full.contains(&Action::Write), "there is no room for more: {full:?}");
    machine.on(Event::Acknowledged);
    machine.on(SOMETHING);
    machine.on(Event::Written { positions: false });
    let next = machine.on(Event::Converted { bytes: 10 });
    assert!(!next.contains(&Action::Write), "{next:?}");
    let stopped = machine.on(Event::Wanted(Wanted::Stop));
    assert!(stopped.contains(&Action::Write), "{stopped:?}");
}

#[test]
fn changes_that_trickle_in_during_a_write_gather_into_one_batch() {
    let mut machine = open();
    assert_eq!(machine.on(LAST), [Action::Convert, Action::Poll], "the first has nothing to wait for");
    assert_eq!(machine.on(Event::Converted { bytes: 1 }), [Action::Write]);
    assert_eq!(machine.on(LAST), [Action::Convert], "the second waits for the write, and so would a third");
    assert_eq!(machine.on(Event::Converted { bytes: 1 }), []);
    assert!(!machine.log_is_behind());
    assert_eq!(machine.on(Event::Written { positions: true }), [Action::Write, Action::Acknowledge]);
    assert_eq!(machine.on(Event::Acknowledged), [Action::Poll]);
    assert_eq!(machine.on(SOMETHING), [Action::Convert, Action::Poll], "a source that has more is never left alone");
}

#[test]
fn a_waiting_guest_is_interrupted_once_for_its_positions() {
    let mut machine = open();
    machine.on(SOMETHING);
    machine.on(Event::Converted { bytes: 1 });
    assert_eq!(machine.on(Event::Written { positions: true }), [Action::InterruptSoon]);
    assert_eq!(machine.on(Event::InterruptDue), [Action::Interrupt]);
    assert_eq!(machine.on(Event::InterruptDue), []);
    assert_eq!(machine.on(NOTHING), [Action::Acknowledge]);
    assert_eq!(machine.on(Event::Acknowledged), [Action::Poll]);
    assert_eq!(machine.on(Event::InterruptDue), [], "there is nothing to hear of any more");
}

#[test]
fn positions_that_could_not_be_handed_over_are_handed_over_later() {
    let mut machine = open();
    machine.on(SOMETHING);
    machine.on(Event::Converted { bytes: 1 });
    machine.on(NOTHING);
    machine.on(NOTHING);
    machine.on(Event::Written { positions: true });
    assert_eq!(machine.on(NOTHING), [Action::Acknowledge]);
    assert_eq!(machine.on(Event::GuestFailed), []);
    assert_eq!(machine.on(Event::GuestPauseOver), [Action::Acknowledge]);
}

#[test]
fn an_open_that_failed_is_repeated() {
    let mut machine = Machine::new(Wanted::Run, 100, false);
    assert_eq!(machine.on(Event::GuestFailed), []);
    assert_eq!(machine.on(Event::GuestPauseOver), [Action::Open]);
    assert_eq!(machine.on(Event::Opened), [Action::Poll]);
}

#[test]
fn stopping_drains_then_closes() {
    let mut machine = open();
    machine.on(SOMETHING);
    assert_eq!(machine.on(Event::Wanted(Wanted::Stop)), [Action::Interrupt]);
    assert_eq!(machine.on(SOMETHING), []);
    assert_eq!(machine.on(Event::Converted { bytes: 1 }), [Action::Convert, Action::Write]);
    assert_eq!(machine.on(Event::Converted { bytes: 1 }), []);
    assert_eq!(machine.on(Event::Written { positions: true }), [Action::Write, Action::Acknowledge]);
    assert_eq!(machine.on(Event::Written { positions: true }), []);
    assert_eq!(machine.on(Event::Acknowledged), [Action::Acknowledge]);
    assert_eq!(machine.on(Event::Acknowledged), [Action::Close]);
    assert_eq!(machine.on(Event::Wanted(Wanted::Run)), []);
}

#[test]
fn stopping_does_not_wait_for_a_guest_or_a_log_that_is_being_repeated() {
    let mut machine = open();
    assert_eq!(machine.on(Event::GuestFailed), []);
    assert_eq!(machine.on(Event::Wanted(Wanted::Stop)), [Action::Close]);

    let mut machine = open();
    machine.on(SOMETHING);
    machine.on(Event::Converted { bytes: 1 });
    assert_eq!(machine.on(Event::Wanted(Wanted::Stop)), [Action::Interrupt]);
    assert_eq!(machine.on(Event::Abandoned), []);
    assert_eq!(machine.on(NOTHING), [Action::Close]);
}

#[test]
fn pausing_keeps_the_guest_and_resuming_polls() {
    let mut machine = open();
    assert_eq!(machine.on(Event::Wanted(Wanted::Pause)), [Action::Interrupt]);
    assert_eq!(machine.on(NOTHING), []);
    assert_eq!(machine.on(Event::KeepAliveDue), [Action::KeepAlive]);
    assert_eq!(machine.on(Event::KeptAlive), []);
    assert_eq!(machine.on(Event::Wanted(Wanted::Run)), [Action::Poll]);
}

#[test]
fn a_finished_source_is_not_polled_again() {
    let mut machine = open();
    let last = Event::Polled { something: true, progress: Progress::Finished };
    assert_eq!(machine.on(last), [Action::Convert]);
    assert_eq!(machine.on(Event::Converted { bytes: 1 }), [Action::Write]);
    assert_eq!(machine.on(Event::Written { positions: true }), [Action::Acknowledge]);
    assert_eq!(machine.on(Event::Acknowledged), []);
}

/// A driver that has calls under way and lets them end in any order.
#[derive(Default)]
struct Model {
    under_way: BTreeSet<&'static str>,
    polled: u64,
    converted: u64,
    /// Batches that the write under way has taken, and those that are durable.
    writing: u64,
    durable: u64,
    /// Batches of which the guest was told.
    told: u64,
    telling: u64,
    paused: bool,
    closed: bool,
}

impl Model {
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.closed, "{action:?} after the end");
            let guest_is_free =
                !["open", "poll", "acknowledge", "keep alive"].iter().any(|call| self.under_way.contains(call));
            let call = match action {
                Action::Open | Action::Poll | Action::Acknowledge | Action::KeepAlive => {
                    assert!(guest_is_free && !self.paused, "{action:?} while {:?}", self.under_way);
                    match action {
                        Action::Open => "open",
                        Action::Poll => "poll",
                        Action::Acknowledge => {
                            self.telling = self.durable;
                            assert!(self.telling > 0, "nothing is durable");
                            "acknowledge"
                        }
                        _ => "keep alive",
                    }
                }
                Action::Convert => "convert",
                Action::Gather => "gather",
                Action::Write => {
                    self.writing = self.converted;
                    "write"
                }
                Action::Close => {
                    assert!(guest_is_free, "closed while {:?}", self.under_way);
                    self.closed = true;
                    continue;
                }
                Action::Interrupt | Action::InterruptSoon => continue,
            };
            assert!(self.under_way.insert(call), "{call} twice");
            assert!(self.polled - self.converted <= 3, "too much waits for conversion");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn in_any_order_calls_never_overlap_and_stopping_makes_everything_durable(
        gathers in any::<bool>(),
        choices in proptest::collection::vec((0..11u8, any::<bool>()), 0..200),
    ) {
        let mut machine = Machine::new(Wanted::Run, 250, gathers);
        let mut model = Model::default();
        model.perform(vec![machine.begin()]);
        for (choice, flag) in choices {
            let Some(event) = next(&mut model, choice, flag) else { continue };
            model.perform(machine.on(event));
        }
        model.perform(machine.on(Event::Wanted(Wanted::Stop)));
        for _ in 0..100 {
            for choice in 0..6 {
                if !model.closed && let Some(event) = next(&mut model, choice, false) {
                    model.perform(machine.on(event));
                }
            }
        }
        assert!(model.closed, "{machine:?}");
        if !model.paused {
            assert_eq!((model.durable, model.told), (model.polled, model.polled), "{machine:?}");
        }
    }
}

/// The event that ends a call, or something from outside; none where it cannot happen now.
fn next(model: &mut Model, choice: u8, flag: bool) -> Option<Event> {
    let mut ends = |call| model.under_way.remove(call);
    Some(match choice {
        0 if ends("open") => Event::Opened,
        1 if ends("poll") => {
            model.polled += u64::from(flag);
            let progress = if model.polled.is_multiple_of(2) { Progress::More } else { Progress::Idle };
            Event::Polled { something: flag, progress }
        }
        2 if ends("convert") => {
            model.converted += 1;
            Event::Converted { bytes: 100 }
        }
        3 if ends("write") => {
            model.durable = model.writing;
            Event::Written { positions: true }
        }
        4 if ends("acknowledge") => {
            model.told = model.telling;
            Event::Acknowledged
        }
        5 if ends("keep alive") => Event::KeptAlive,
        6 => Event::Wanted(if flag { Wanted::Run } else { Wanted::Pause }),
        7 => Event::KeepAliveDue,
        8 => Event::InterruptDue,
        10 if ends("gather") => Event::GatheringOver,
        9 if flag && ends("poll") => {
            model.paused = true;
            Event::GuestFailed
        }
        9 if model.paused => {
            model.paused = false;
            Event::GuestPauseOver
        }
        _ => return None,
    })
}
