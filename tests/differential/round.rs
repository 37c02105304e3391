//! One round: a workload on a database of its own, with both sides or with Towpath alone, and what each made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use towpath_tests::{Deadline, LogRecord, Peers, Postgres};

use crate::profile::Profile;
use crate::record::{Likeness, Topic, Topics};
use crate::script::{PROGRESS, Script, Sessions, Step};
use crate::side::{Place, Side};

const STREAMING_WITHIN: Duration = Duration::from_secs(120);

/// What a side made of a workload.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) records: BTreeMap<String, Vec<LogRecord>>,
    /// How many of each topic's records are the snapshot's.
    snapshot: BTreeMap<String, u64>,
}

impl Outcome {
    /// In the form in which it is compared. Progress is left out: it is the round's, not the workload's.
    pub(crate) fn topics(&self, likeness: Likeness) -> Result<Topics> {
        let mut topics = Topics::new();
        for (name, records) in self.records.iter().filter(|(name, _)| !name.ends_with(&format!(".{PROGRESS}"))) {
            let in_snapshot = usize::try_from(self.snapshot.get(name).copied().unwrap_or_default())?;
            topics.insert(name.clone(), Topic::new(records, in_snapshot, likeness)?);
        }
        Ok(topics)
    }
}

/// Runs a script with Debezium, if there are peers, and Towpath beside it.
pub(crate) async fn run(
    postgres: &Postgres,
    peers: Option<&Peers>,
    profile: &Profile,
    script: &Script,
    prefix: &str,
) -> Result<Vec<Outcome>> {
    let database = prefix.replace('-', "_");
    postgres.create_database(&database).await?;
    let place = Place { postgres, database: &database, profile, prefix };
    let mut sides = Vec::new();
    let outcomes = perform(place, peers, script, &mut sides).await;
    for side in sides {
        side.close(postgres, &database).await?;
    }
    let superuser = postgres.connect_as_superuser("postgres").await?;
    superuser.batch_execute(&format!("drop database \"{database}\" with (force)")).await?;
    outcomes
}

async fn perform<'a>(
    place: Place<'_>,
    peers: Option<&'a Peers>,
    script: &Script,
    sides: &mut Vec<Side<'a>>,
) -> Result<Vec<Outcome>> {
    let mut sessions = Sessions::open(place.postgres, place.database).await?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut progress = 0;
    for step in &script.steps {
        match step {
            Step::Prepare(sql) => sessions.prepare(sql).await?,
            Step::Sql(session, sql) => sessions.run(*session, sql).await?,
            Step::Start => {
                let version = sessions.version().await?;
                sessions.prepare(&place.profile.publish(version)).await?;
                if let Some(peers) = peers {
                    sides.push(Side::debezium(peers, place).await?);
                }
                sides.push(Side::towpath(place).await?);
                all_streaming(&sessions, sides).await?;
                settle(&mut sessions, sides, &mut progress).await?;
                for side in sides.iter_mut() {
                    outcomes.push(Outcome { snapshot: side.counts().await?, ..Outcome::default() });
                }
            }
            Step::Settle => settle(&mut sessions, sides, &mut progress).await?,
            Step::Stop => {
                for side in sides.iter_mut() {
                    side.stop().await?;
                }
            }
            Step::Resume => {
                for side in sides.iter_mut() {
                    side.resume().await?;
                }
                all_streaming(&sessions, sides).await?;
            }
        }
    }
    ensure!(!sides.is_empty(), "the script never starts the connectors");
    settle(&mut sessions, sides, &mut progress).await?;
    for (outcome, side) in outcomes.iter_mut().zip(sides.iter_mut()) {
        outcome.records = side.records().await?;
    }
    Ok(outcomes)
}

/// Waits until each snapshot is over and each slot is read.
async fn all_streaming(sessions: &Sessions<'_>, sides: &[Side<'_>]) -> Result<()> {
    let query = "select 1 from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid \
                 where slot_name = $1 and r.state = 'streaming'";
    for side in sides {
        let slot = side.name();
        let deadline = Deadline::after(STREAMING_WITHIN);
        while sessions.superuser().query_opt(query, &[&slot]).await?.is_none() {
            side.must_run().await?;
            ensure!(!deadline.is_over(), "{slot} does not stream");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

async fn settle(sessions: &mut Sessions<'_>, sides: &mut [Side<'_>], progress: &mut u64) -> Result<()> {
    *progress += 1;
    sessions.prepare(&format!("insert into {PROGRESS} values ({progress})")).await?;
    for side in sides {
        side.reach(*progress).await?;
    }
    Ok(())
}
