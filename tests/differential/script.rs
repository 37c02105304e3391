//! A workload as it is run and as it is written down: one step a line.
//!
//! Steps run one after another, whatever session they belong to, so that a script has the same effect each time. A session may hold a
//! transaction open while others commit.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;
use towpath_tests::Postgres;

/// The table whose rows tell how far a side has come. Its columns: `step int primary key`.
pub(crate) const PROGRESS: &str = "progress";

/// One line of a script.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// SQL of the superuser, before anything else.
    Prepare(String),
    /// SQL of a session.
    Sql(u8, String),
    /// The connectors start here: what stands before is in their snapshots.
    Start,
    /// Everything so far must have arrived before the script goes on.
    Settle,
    /// The connectors are stopped.
    Stop,
    /// They go on where they were.
    Resume,
}

/// A workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
}

impl Script {
    /// Reads what [`Self::to_text`] gives.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let steps = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { steps })
    }

    /// One line a step.
    pub(crate) fn to_text(&self) -> Result<String> {
        let mut text = String::new();
        for step in &self.steps {
            text.push_str(&serde_json::to_string(step)?);
            text.push('\n');
        }
        Ok(text)
    }
}

/// The sessions of a script on one database.
pub(crate) struct Sessions<'a> {
    postgres: &'a Postgres,
    database: String,
    open: BTreeMap<u8, Client>,
    superuser: Client,
}

impl<'a> Sessions<'a> {
    pub(crate) async fn open(postgres: &'a Postgres, database: &str) -> Result<Self> {
        let superuser = postgres.connect_as_superuser(database).await?;
        Ok(Self { postgres, database: database.to_owned(), open: BTreeMap::new(), superuser })
    }

    pub(crate) fn superuser(&self) -> &Client {
        &self.superuser
    }

    /// The server's version, as 150018.
    pub(crate) async fn version(&self) -> Result<u32> {
        let row = self.superuser.query_one("select current_setting('server_version_num')::int", &[]).await?;
        Ok(u32::try_from(row.get::<_, i32>(0))?)
    }

    /// Runs SQL of the superuser.
    pub(crate) async fn prepare(&self, sql: &str) -> Result<()> {
        self.superuser.batch_execute(sql).await.with_context(|| format!("running {sql}"))
    }

    /// Runs SQL of a session, which is opened when it is new.
    pub(crate) async fn run(&mut self, session: u8, sql: &str) -> Result<()> {
        if !self.open.contains_key(&session) {
            let client = self.postgres.connect(&self.database).await?;
            // Sessions never wait for each other: a script that makes them do so is wrong and shall say so.
            client.batch_execute("set lock_timeout = '5s'").await?;
            self.open.insert(session, client);
        }
        let client = self.open.get(&session).context("no session")?;
        client.batch_execute(sql).await.with_context(|| format!("running in session {session}: {sql}"))
    }
}
