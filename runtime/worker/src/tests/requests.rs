//! Any sequence of requests, with crashes between them: in the end a connector is as the last request wanted it, and stands where it was
//! told to or has delivered everything from there on.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::time::Duration;
use towpath_model::{ConnectorState, TargetState, TaskState};

use super::rig::{Rig, config, name};
use crate::{Error, OffsetEntry};

/// What was asked for last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    target: TargetState,
    mark: String,
}

/// A sink as it is to be, and how far its topic goes.
#[derive(Default)]
struct Model {
    connector: Option<Wanted>,
    records: u64,
    /// Where it was told to go on, and how much had been delivered by then. It has not run since unless `ran`.
    placed: Option<(u64, usize)>,
    ran: bool,
}

impl Model {
    fn target(&mut self, target: TargetState) {
        if let Some(connector) = &mut self.connector {
            connector.target = target;
        }
        self.ran |= target == TargetState::Started;
    }

    fn mark(&mut self, mark: &str) {
        if let Some(connector) = &mut self.connector {
            mark.clone_into(&mut connector.mark);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_ends_as_the_last_request_wanted_it() {
    for round in 0..500 {
        let seed = std::env::var("TOWPATH_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| rand::rng().random_range(0..u64::MAX));
        println!("round {round}, TOWPATH_SEED={seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let mut rig = Rig::new().await;
        rig.log.create("t", 1);
        let mut model = Model::default();
        for step in 0..random.random_range(5..40) {
            rig = request(rig, &mut model, step, &mut random).await;
        }
        settle(&rig, &model, seed).await;
        rig.stop().await;
    }
}

/// One request or event, the answer to which must fit.
async fn request(rig: Rig, model: &mut Model, step: u32, random: &mut StdRng) -> Rig {
    let (handle, s) = (rig.handle.clone(), name("s"));
    let there = model.connector.is_some();
    let mark = step.to_string();
    let marked = config("sink", &[("fake.free.mark", &mark)]);
    let unknown = |error: Error| assert_eq!(error.http_status(), 404, "{error}");
    match random.random_range(0..14) {
        0 | 1 => match handle.create(s, marked, TargetState::Started).await {
            Ok(_) => {
                assert!(!there, "created although it was there");
                model.connector = Some(Wanted { target: TargetState::Started, mark });
                model.ran = true;
            }
            Err(error) => assert!(there && error.http_status() == 409, "{error}"),
        },
        2 => match handle.delete(s).await {
            Ok(()) => assert!(model.connector.take().is_some(), "deleted although it was not there"),
            Err(error) => unknown(error),
        },
        3 => match handle.pause(s).await {
            Ok(()) => model.target(TargetState::Paused),
            Err(error) => unknown(error),
        },
        4 | 5 => match handle.resume(s).await {
            Ok(()) => model.target(TargetState::Started),
            Err(error) => unknown(error),
        },
        6 => match handle.stop(s).await {
            Ok(()) => model.target(TargetState::Stopped),
            Err(error) => unknown(error),
        },
        7 => match handle.restart(s, random.random_bool(0.7), random.random_bool(0.3)).await {
            Ok(_) => assert!(there),
            Err(error) => assert!(matches!(error.http_status(), 404 | 409), "{error}"),
        },
        8 => match handle.put_config(s, marked).await {
            Ok(_) => {
                model.connector.get_or_insert(Wanted { target: TargetState::Started, mark: String::new() });
                model.ran |= !there;
                model.mark(&mark);
            }
            Err(error) => panic!("{error}"),
        },
        9 => match handle.patch_config(s, [("fake.free.mark".to_owned(), Some(mark.clone()))].into()).await {
            Ok(_) => model.mark(&mark),
            Err(error) => unknown(error),
        },
        10 | 11 => {
            let offset = random.random_range(0..=model.records);
            let partition = json!({"kafka_topic": "t", "kafka_partition": 0});
            let entry = OffsetEntry { partition, offset: json!({ "kafka_offset": offset }) };
            let before = rig.sink().delivered().len();
            match handle.alter_offsets(s, &[entry]).await {
                Ok(()) => {
                    assert_eq!(model.connector.as_ref().expect("known").target, TargetState::Stopped);
                    (model.placed, model.ran) = (Some((offset, before)), false);
                }
                Err(error @ Error::NotStopped(_)) => {
                    let stopped = model.connector.as_ref().is_some_and(|wanted| wanted.target == TargetState::Stopped);
                    assert!(!stopped, "{error}");
                }
                Err(error) => unknown(error),
            }
        }
        12 => {
            let made = random.random_range(1..6);
            let values = (model.records..model.records + made).map(|value| value.to_string());
            rig.log.produce("t", 0, values);
            model.records += made;
        }
        _ => match random.random_range(0..3) {
            0 => return rig.crash().await,
            1 => return rig.restart().await,
            _ => tokio::time::sleep(Duration::from_millis(random.random_range(0..3_000))).await,
        },
    }
    rig
}

/// Everything comes to be as it was wanted.
async fn settle(rig: &Rig, model: &Model, seed: u64) {
    let s = name("s");
    let Some(wanted) = &model.connector else {
        rig.until("it is gone", |rig| rig.handle.connector(&s).is_err() && rig.handle.status(&s).is_err()).await;
        return;
    };
    let (state, tasks) = match wanted.target {
        TargetState::Started => (ConnectorState::Running, vec![TaskState::Running]),
        TargetState::Paused => (ConnectorState::Paused, vec![TaskState::Paused]),
        TargetState::Stopped => (ConnectorState::Stopped, vec![]),
    };
    rig.until(&format!("{wanted:?}, seed {seed}"), |rig| {
        let status = rig.status("s");
        let found: Vec<_> = status.tasks.iter().map(|task| task.state).collect();
        status.state == state && found == tasks
    })
    .await;
    let info = rig.handle.connector(&s).expect("known");
    assert_eq!(info.config.get("fake.free.mark"), Some(wanted.mark.as_str()), "seed {seed}");
    let committed = |rig: &Rig| rig.log.committed("connect-s", "t", 0).map(|(offset, _)| offset.cast_unsigned());
    if wanted.target == TargetState::Started && model.records > 0 {
        rig.until(&format!("all is delivered, seed {seed}"), |rig| committed(rig) == Some(model.records)).await;
    }
    match model.placed {
        Some((offset, _)) if !model.ran => assert_eq!(committed(rig), Some(offset), "seed {seed}"),
        Some((offset, before)) if wanted.target == TargetState::Started => {
            let delivered = rig.sink().delivered().split_off(before);
            for value in offset..model.records {
                assert!(delivered.contains(&value.to_string()), "{value} did not come after {offset}, seed {seed}");
            }
        }
        _ => {}
    }
}
