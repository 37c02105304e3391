use proptest::prelude::*;

use super::*;

fn restarts() -> Restarts {
    Restarts { budget: 2, healthy_after: Duration::from_secs(60), ..Restarts::default() }
}

fn machine() -> Machine {
    Machine::new(TargetState::Started, restarts(), 0)
}

/// A machine with so many running tasks, and their starts.
fn running(tasks: u32) -> (Machine, Vec<u64>) {
    let mut machine = machine();
    assert_eq!(machine.on(Event::Configured), [Action::Plan { plan: 1 }]);
    let starts = machine.on(Event::Planned { plan: 1, tasks });
    let starts = starts.into_iter().map(|action| match action {
        Action::StartTask { start, wanted: Wanted::Run, .. } => start,
        other => panic!("{other:?}"),
    });
    let starts: Vec<_> = starts.collect();
    for (task, start) in (0..).zip(&starts) {
        machine.on(Event::TaskOpened { task, start: *start });
    }
    (machine, starts)
}

fn fault(restart: bool) -> Fault {
    Fault { trace: "it broke".into(), restart }
}

fn failed(task: u32, start: u64, restart: bool, ran_s: u64) -> Event {
    Event::TaskFailed { task, start, fault: fault(restart), ran: Duration::from_secs(ran_s) }
}

fn states(machine: &Machine) -> Vec<TaskState> {
    machine.tasks().map(|(state, _)| state).collect()
}

fn stop(task: u32) -> Action {
    Action::Want { task, wanted: Wanted::Stop }
}

#[test]
fn a_configuration_is_planned_and_its_tasks_run() {
    let mut machine = machine();
    assert_eq!(machine.state().0, ConnectorState::Unassigned);
    machine.on(Event::Configured);
    let starts = machine.on(Event::Planned { plan: 1, tasks: 2 });
    assert_eq!(starts.len(), 2);
    assert_eq!((machine.state().0, states(&machine)), (ConnectorState::Running, vec![TaskState::Unassigned; 2]));
    machine.on(Event::TaskOpened { task: 1, start: 3 });
    assert_eq!(states(&machine), [TaskState::Unassigned, TaskState::Running]);
}

#[test]
fn a_changed_configuration_waits_for_the_end_of_all_tasks() {
    let (mut machine, starts) = running(2);
    assert_eq!(machine.on(Event::Configured), [stop(0), stop(1)]);
    assert_eq!(machine.on(Event::Configured), []);
    assert_eq!(machine.on(Event::TaskStopped { task: 0, start: starts[0] }), []);
    let ended = machine.on(Event::TaskStopped { task: 1, start: starts[1] });
    assert!(matches!(ended.as_slice(), [Action::Plan { .. }]), "{ended:?}");
    assert_eq!(states(&machine), []);
}

#[test]
fn a_plan_that_is_out_of_date_is_passed_over() {
    let mut machine = machine();
    machine.on(Event::Configured);
    let again = machine.on(Event::Configured);
    let [Action::Plan { plan }] = again.as_slice() else { panic!("{again:?}") };
    assert_eq!(machine.on(Event::Planned { plan: 1, tasks: 3 }), []);
    assert_eq!(machine.on(Event::PlanFailed { plan: 1, fault: fault(true) }), []);
    assert_eq!(machine.on(Event::Planned { plan: *plan, tasks: 1 }).len(), 1);
}

#[test]
fn a_failed_plan_is_shown_and_made_again_within_the_budget() {
    let mut machine = machine();
    machine.on(Event::Configured);
    let mut plan = 1;
    for attempt in 1..=2 {
        let actions = machine.on(Event::PlanFailed { plan, fault: fault(true) });
        let [Action::Wait { wait, attempt: counted }] = actions.as_slice() else { panic!("{actions:?}") };
        assert_eq!(*counted, attempt);
        assert_eq!(machine.state(), (ConnectorState::Failed, Some("it broke")));
        let actions = machine.on(Event::WaitOver { wait: *wait });
        let [Action::Plan { plan: next }] = actions.as_slice() else { panic!("{actions:?}") };
        plan = *next;
    }
    assert_eq!(machine.on(Event::PlanFailed { plan, fault: fault(true) }), []);
    let restarted = machine.on(Event::Restart { include_tasks: false, only_failed: false });
    assert!(matches!(restarted.as_slice(), [Action::Plan { .. }]));
}

#[test]
fn a_plan_that_cannot_succeed_is_not_repeated() {
    let mut machine = machine();
    machine.on(Event::Configured);
    assert_eq!(machine.on(Event::PlanFailed { plan: 1, fault: fault(false) }), []);
    assert!(matches!(machine.on(Event::Configured).as_slice(), [Action::Plan { .. }]));
}

#[test]
fn a_failed_task_starts_again_until_the_budget_is_used_up_and_a_healthy_time_renews_it() {
    let (mut machine, starts) = running(1);
    let mut start = starts[0];
    for (ran_s, attempt) in [(1, 1), (1, 2), (61, 1), (1, 2)] {
        let actions = machine.on(failed(0, start, true, ran_s));
        let [Action::Wait { wait, attempt: counted }] = actions.as_slice() else { panic!("{actions:?}") };
        assert_eq!((*counted, states(&machine)), (attempt, vec![TaskState::Restarting]));
        let actions = machine.on(Event::WaitOver { wait: *wait });
        let [Action::StartTask { start: next, .. }] = actions.as_slice() else { panic!("{actions:?}") };
        start = *next;
    }
    assert_eq!(machine.on(failed(0, start, true, 1)), []);
    assert_eq!((machine.state().0, states(&machine)), (ConnectorState::Running, vec![TaskState::Failed]));
}

#[test]
fn poison_is_not_started_into_again_but_a_person_may() {
    let (mut machine, starts) = running(2);
    assert_eq!(machine.on(failed(1, starts[1], false, 1)), []);
    assert_eq!(machine.tasks().nth(1), Some((TaskState::Failed, Some("it broke"))));
    let only_failed = machine.on(Event::Restart { include_tasks: true, only_failed: true });
    assert!(matches!(only_failed.as_slice(), [Action::StartTask { task: 1, .. }]), "{only_failed:?}");
    assert_eq!(machine.on(Event::RestartTask { task: 7 }), []);
}

#[test]
fn a_restart_of_a_running_task_is_a_stop_and_a_start() {
    let (mut machine, starts) = running(1);
    assert_eq!(machine.on(Event::RestartTask { task: 0 }), [stop(0)]);
    assert_eq!(states(&machine), [TaskState::Restarting]);
    let again = machine.on(Event::TaskStopped { task: 0, start: starts[0] });
    assert!(matches!(again.as_slice(), [Action::StartTask { task: 0, .. }]));
}

#[test]
fn pause_and_resume_reach_the_tasks_and_stop_ends_them() {
    let (mut machine, starts) = running(1);
    let want = |wanted| [Action::Want { task: 0, wanted }];
    assert_eq!(machine.on(Event::Target(TargetState::Paused)), want(Wanted::Pause));
    assert_eq!((machine.state().0, states(&machine)), (ConnectorState::Paused, vec![TaskState::Paused]));
    assert_eq!(machine.on(Event::Target(TargetState::Paused)), []);
    assert_eq!(machine.on(Event::Target(TargetState::Started)), want(Wanted::Run));
    assert_eq!(machine.on(Event::Target(TargetState::Stopped)), want(Wanted::Stop));
    assert_eq!(machine.on(Event::TaskStopped { task: 0, start: starts[0] }), []);
    assert_eq!((machine.state().0, states(&machine)), (ConnectorState::Stopped, vec![]));
    assert!(matches!(machine.on(Event::Target(TargetState::Started)).as_slice(), [Action::Plan { .. }]));
}

#[test]
fn deleting_waits_for_the_tasks() {
    let (mut machine, starts) = running(1);
    assert_eq!(machine.on(Event::Delete), [stop(0)]);
    assert_eq!(machine.on(Event::Target(TargetState::Paused)), []);
    assert_eq!(machine.on(failed(0, starts[0], true, 1)), [Action::Deleted]);
    let (mut machine, _) = running(0);
    assert_eq!(machine.on(Event::Delete), [Action::Deleted]);
}

#[test]
fn what_an_earlier_start_still_says_is_passed_over() {
    let (mut machine, starts) = running(1);
    assert_eq!(machine.on(failed(0, starts[0] + 100, true, 1)), []);
    assert_eq!(machine.on(Event::TaskStopped { task: 0, start: 0 }), []);
    assert_eq!(states(&machine), [TaskState::Running]);
}

/// What a driver would feed back, chosen at random.
#[derive(Clone, Debug)]
enum Choice {
    Configure,
    Target(TargetState),
    Plan { tasks: Option<u32> },
    End { which: usize, fails: Option<bool> },
    Wait(usize),
    Restart(bool, bool),
    RestartTask(u32),
}

fn choice() -> impl Strategy<Value = Choice> {
    let target = prop_oneof![Just(TargetState::Started), Just(TargetState::Paused), Just(TargetState::Stopped)];
    prop_oneof![
        Just(Choice::Configure),
        target.prop_map(Choice::Target),
        proptest::option::weighted(0.8, 0..4u32).prop_map(|tasks| Choice::Plan { tasks }),
        (any::<usize>(), proptest::option::of(any::<bool>())).prop_map(|(which, fails)| Choice::End { which, fails }),
        any::<usize>().prop_map(Choice::Wait),
        any::<(bool, bool)>().prop_map(|(tasks, failed)| Choice::Restart(tasks, failed)),
        (0..4u32).prop_map(Choice::RestartTask),
    ]
}

/// A driver that remembers what is under way.
struct Model {
    machine: Machine,
    plans: Vec<u64>,
    /// Running tasks as (task, start, told to stop).
    running: Vec<(u32, u64, bool)>,
    waits: Vec<u64>,
    deleted: bool,
}

impl Model {
    fn feed(&mut self, event: Event) {
        for action in self.machine.on(event) {
            assert!(!self.deleted, "{action:?} after the end");
            match action {
                Action::Plan { plan } => {
                    assert!(self.running.is_empty(), "planned while tasks run");
                    self.plans.push(plan);
                }
                Action::StartTask { task, start, .. } => {
                    assert!(self.running.iter().all(|(other, _, _)| *other != task), "task {task} runs twice");
                    self.running.push((task, start, false));
                }
                Action::Want { task, wanted } => {
                    let found = self.running.iter_mut().find(|(other, _, _)| *other == task).expect("a running task");
                    assert!(!found.2 || wanted == Wanted::Stop, "told to go on after it was told to stop");
                    found.2 |= wanted == Wanted::Stop;
                }
                Action::Wait { wait, .. } => self.waits.push(wait),
                Action::Deleted => {
                    assert!(self.running.is_empty(), "deleted while tasks run");
                    self.deleted = true;
                }
            }
        }
    }

    fn choose(&mut self, choice: Choice) {
        match choice {
            Choice::Configure => self.feed(Event::Configured),
            Choice::Target(target) => self.feed(Event::Target(target)),
            Choice::Plan { tasks } => {
                let Some(plan) = self.plans.pop() else { return };
                self.feed(match tasks {
                    Some(tasks) => Event::Planned { plan, tasks },
                    None => Event::PlanFailed { plan, fault: fault(true) },
                });
            }
            Choice::End { which, fails } => {
                if self.running.is_empty() {
                    return;
                }
                let (task, start, told) = self.running.remove(which % self.running.len());
                self.feed(match fails {
                    None if told => Event::TaskStopped { task, start },
                    fails => failed(task, start, fails.unwrap_or(true), 1),
                });
            }
            Choice::Wait(which) => {
                if !self.waits.is_empty() {
                    let wait = self.waits.remove(which % self.waits.len());
                    self.feed(Event::WaitOver { wait });
                }
            }
            Choice::Restart(include_tasks, only_failed) => self.feed(Event::Restart { include_tasks, only_failed }),
            Choice::RestartTask(task) => self.feed(Event::RestartTask { task }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn in_any_order_no_task_runs_twice_and_everything_comes_to_rest(choices in proptest::collection::vec(choice(), 0..80)) {
        let mut model =
            Model { machine: machine(), plans: vec![], running: vec![], waits: vec![], deleted: false };
        model.feed(Event::Configured);
        for choice in choices {
            model.choose(choice);
        }
        // Left alone with what was wanted last, it does that.
        model.feed(Event::Target(TargetState::Started));
        model.feed(Event::Configured);
        while let Some((task, start, told)) = model.running.pop() {
            assert!(told, "task {task} was not told to stop");
            model.feed(Event::TaskStopped { task, start });
        }
        let plan = model.plans.pop().expect("a plan under way");
        model.feed(Event::Planned { plan, tasks: 2 });
        assert_eq!(model.running.len(), 2);
        model.feed(Event::Delete);
        while let Some((task, start, _)) = model.running.pop() {
            model.feed(Event::TaskStopped { task, start });
        }
        assert!(model.deleted);
    }
}
