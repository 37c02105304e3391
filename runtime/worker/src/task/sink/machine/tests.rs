use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SOMETHING: Event = Event::Fetched { something: true };
const FLUSHED: Event = Event::Flushed { commit: true, refetch: false, pause: false };

fn open() -> Machine {
    let mut machine = Machine::new(Wanted::Run);
    assert_eq!(machine.begin(), Action::Open);
    assert_eq!(machine.on(Event::Opened), [Action::Reassign]);
    assert_eq!(machine.on(Event::Reassigned { any: true }), [Action::Fetch]);
    machine
}

#[test]
fn fetching_putting_and_committing_overlap() {
    let mut machine = open();
    assert_eq!(machine.on(SOMETHING), [Action::Put, Action::Fetch]);
    assert_eq!(machine.on(SOMETHING), [], "one batch ahead");
    assert_eq!(machine.on(Event::FlushDue), []);
    assert_eq!(machine.on(Event::Put { more: false }), [Action::Flush]);
    assert_eq!(machine.on(FLUSHED), [Action::Commit, Action::Put, Action::Fetch]);
    assert_eq!(machine.on(Event::FlushDue), []);
    assert_eq!(machine.on(Event::Put { more: false }), [], "no flush before the offsets of the last one are committed");
    assert_eq!(machine.on(Event::Committed), [Action::Flush]);
}

#[test]
fn a_fetch_without_anything_is_repeated() {
    let mut machine = open();
    assert_eq!(machine.on(Event::Fetched { something: false }), [Action::Fetch]);
}

#[test]
fn what_is_left_of_a_batch_is_put_before_the_next_one() {
    let mut machine = open();
    machine.on(SOMETHING);
    machine.on(SOMETHING);
    assert_eq!(machine.on(Event::Put { more: true }), [Action::Put]);
    assert_eq!(machine.on(Event::Put { more: false }), [Action::Put, Action::Fetch]);
}

#[test]
fn a_put_that_failed_is_repeated_after_its_pause_and_flushes_go_on_meanwhile() {
    let mut machine = open();
    machine.on(SOMETHING);
    assert_eq!(machine.on(Event::Failed(Step::Put)), []);
    assert_eq!(machine.on(Event::FlushDue), [Action::Flush]);
    assert_eq!(machine.on(Event::Flushed { commit: false, refetch: false, pause: false }), []);
    assert_eq!(machine.on(Event::PauseOver), [Action::Put]);
}

#[test]
fn a_flush_that_failed_holds_up_puts_and_is_repeated() {
    let mut machine = open();
    machine.on(Event::FlushDue);
    assert_eq!(machine.on(Event::Failed(Step::Flush)), []);
    assert_eq!(machine.on(SOMETHING), []);
    assert_eq!(machine.on(Event::PauseOver), [Action::Flush]);
    assert_eq!(machine.on(FLUSHED), [Action::Commit, Action::Put, Action::Fetch]);
}

#[test]
fn changed_topics_are_taken_over_after_a_flush_and_what_was_fetched_ahead_is_void() {
    let mut machine = open();
    machine.on(SOMETHING);
    machine.on(SOMETHING);
    assert_eq!(machine.on(Event::TopicsChanged), []);
    assert_eq!(machine.on(Event::Put { more: false }), [Action::Flush]);
    assert_eq!(machine.on(FLUSHED), [Action::Commit]);
    assert_eq!(machine.on(Event::Committed), [Action::DropFetched, Action::Reassign]);
    assert_eq!(machine.on(Event::Reassigned { any: false }), []);
    assert_eq!(machine.on(Event::TopicsChanged), [Action::Reassign]);
}

#[test]
fn a_rewind_voids_what_was_fetched_and_what_was_being_put() {
    let mut machine = open();
    machine.on(SOMETHING);
    machine.on(SOMETHING);
    machine.on(Event::FlushDue);
    assert_eq!(machine.on(Event::Put { more: true }), [Action::Flush]);
    let rewound = machine.on(Event::Flushed { commit: false, refetch: true, pause: false });
    assert_eq!(rewound, [Action::DropFetched, Action::Fetch]);
}

#[test]
fn a_topic_that_is_gone_leads_to_a_new_assignment() {
    let mut machine = open();
    machine.on(Event::FlushDue);
    machine.on(Event::Flushed { commit: false, refetch: false, pause: false });
    assert_eq!(machine.on(Event::TopicsGone), [Action::Reassign]);
}

#[test]
fn pausing_drops_the_fetch_and_resuming_takes_it_up() {
    let mut machine = open();
    assert_eq!(machine.on(Event::Wanted(Wanted::Pause)), [Action::DropFetched]);
    assert_eq!(machine.on(Event::FlushDue), [Action::Flush]);
    assert_eq!(machine.on(Event::Flushed { commit: false, refetch: false, pause: false }), []);
    assert_eq!(machine.on(Event::Wanted(Wanted::Run)), [Action::Fetch]);
}

#[test]
fn stopping_flushes_commits_and_closes() {
    let mut machine = open();
    machine.on(SOMETHING);
    assert_eq!(machine.on(Event::Wanted(Wanted::Stop)), [Action::DropFetched]);
    assert_eq!(machine.on(Event::Put { more: true }), [Action::Flush]);
    assert_eq!(machine.on(FLUSHED), [Action::Commit]);
    assert_eq!(machine.on(Event::Committed), [Action::Close]);
}

#[test]
fn stopping_does_not_wait_for_repetitions() {
    let mut machine = Machine::new(Wanted::Run);
    assert_eq!(machine.on(Event::Failed(Step::Open)), []);
    assert_eq!(machine.on(Event::Wanted(Wanted::Stop)), [Action::Close]);
    let mut machine = open();
    machine.on(Event::FlushDue);
    machine.on(Event::Failed(Step::Flush));
    assert_eq!(machine.on(Event::Wanted(Wanted::Stop)), [Action::Close, Action::DropFetched]);
    let mut machine = open();
    machine.on(SOMETHING);
    machine.on(Event::Failed(Step::Put));
    assert_eq!(machine.on(Event::Wanted(Wanted::Stop)), [Action::Flush, Action::DropFetched]);
    assert_eq!(machine.on(FLUSHED), [Action::Commit]);
    assert_eq!(machine.on(Event::Abandoned), [Action::Close]);
}

#[test]
fn an_open_or_assignment_that_failed_is_repeated() {
    let mut machine = Machine::new(Wanted::Run);
    machine.on(Event::Failed(Step::Open));
    assert_eq!(machine.on(Event::PauseOver), [Action::Open]);
    machine.on(Event::Opened);
    assert_eq!(machine.on(Event::Failed(Step::Reassign)), []);
    assert_eq!(machine.on(Event::PauseOver), [Action::Reassign]);
}

/// A driver that has calls under way and lets them end in any order.
#[derive(Default)]
struct Model {
    guest: Option<&'static str>,
    others: BTreeSet<&'static str>,
    pausing: bool,
    closed: bool,
}

impl Model {
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.closed || action == Action::DropFetched, "{action:?} after the end");
            let call = match action {
                Action::Open => "open",
                Action::Reassign => "reassign",
                Action::Put => "put",
                Action::Flush => "flush",
                Action::Fetch | Action::Commit => {
                    let call = if action == Action::Fetch { "fetch" } else { "commit" };
                    assert!(self.others.insert(call), "{call} twice");
                    continue;
                }
                Action::DropFetched => {
                    self.others.remove("fetch");
                    continue;
                }
                Action::Close => {
                    assert_eq!(self.guest, None, "closed during a call");
                    assert!(!self.others.contains("commit"), "closed before offsets are committed");
                    self.closed = true;
                    continue;
                }
            };
            assert_eq!(self.guest, None, "{call} during another call");
            assert!(
                call != "flush" || !self.others.contains("commit"),
                "flushed before the last offsets are committed"
            );
            self.guest = Some(call);
        }
    }
}

/// The event that ends a call, or something from outside; none where it cannot happen now.
fn next(model: &mut Model, choice: u8, flags: (bool, bool)) -> Option<Event> {
    let (flag, other) = flags;
    Some(match choice {
        0 => {
            let call = model.guest.take()?;
            if other && !model.pausing {
                model.pausing = true;
                return Some(Event::Failed(match call {
                    "open" => Step::Open,
                    "reassign" => Step::Reassign,
                    "put" => Step::Put,
                    _ => Step::Flush,
                }));
            }
            match call {
                "open" => Event::Opened,
                "reassign" => Event::Reassigned { any: flag },
                "put" => Event::Put { more: flag },
                _ => Event::Flushed { commit: flag, refetch: false, pause: false },
            }
        }
        1 if model.others.remove("fetch") => Event::Fetched { something: flag },
        2 if model.others.remove("commit") => Event::Committed,
        3 if std::mem::take(&mut model.pausing) => Event::PauseOver,
        4 => Event::FlushDue,
        5 => Event::TopicsChanged,
        6 => Event::Wanted(if flag { Wanted::Run } else { Wanted::Pause }),
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn in_any_order_calls_never_overlap_and_stopping_comes_to_an_end(
        choices in proptest::collection::vec((0..7u8, any::<(bool, bool)>()), 0..200),
    ) {
        let mut machine = Machine::new(Wanted::Run);
        let mut model = Model::default();
        model.perform(vec![machine.begin()]);
        for (choice, flags) in choices {
            if let Some(event) = next(&mut model, choice, flags) {
                model.perform(machine.on(event));
            }
        }
        model.perform(machine.on(Event::Wanted(Wanted::Stop)));
        for _ in 0..20 {
            for choice in 0..4 {
                if !model.closed && let Some(event) = next(&mut model, choice, (false, false)) {
                    model.perform(machine.on(event));
                }
            }
        }
        assert!(model.closed, "{machine:?}");
    }
}
