//! Where a case takes place: a database, an HTTP server, an S3 server, a worker, and the folder that holds its files.
//!
//! Holes that pipelines, SQL and steps may use: `pg.host pg.port pg.user pg.password pg.database slot hooks s3 s3.access s3.secret
//! lake guests pipelines data`. The worker's environment has `PG_PASSWORD`, `S3_ACCESS` and `S3_SECRET`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use reqwest::Method;
use tokio_postgres::Client;
use towpath_tests::{
    ACCESS_KEY, Answer, Folder, Holes, PASSWORD, Postgres, Receiver, S3Server, SECRET_KEY, USER, Worker, WorkerOptions,
    copy_pipelines, eventually, towpath_binary,
};

use super::like::{like, mentions};
use super::look;
use super::servers::Servers;
use super::step::{Case, Command, Ending, Hooks, Rest, Step, Write};

const BUCKET: &str = "lake";
const SLOW: Duration = Duration::from_millis(500);

/// Where a case takes place.
pub(crate) struct World {
    case: PathBuf,
    folder: Folder,
    postgres: Arc<Postgres>,
    client: Client,
    slot: String,
    pub(super) receiver: Receiver,
    pub(super) s3: S3Server,
    pub(super) holes: Holes,
    options: WorkerOptions,
    worker: Option<Worker>,
}

impl World {
    /// Starts what the case needs, apart from the worker.
    pub(crate) async fn prepare(case: &Path, servers: &Servers) -> Result<Self> {
        let name = case.file_name().unwrap_or_default().to_string_lossy().replace(['-', '.'], "_");
        let folder = Folder::new(&format!("towpath-case-{name}-"))?;
        let postgres = servers.postgres().await?;
        postgres.create_database(&name).await?;
        let client = postgres.connect(&name).await?;
        let receiver = Receiver::start().await?;
        let s3 = S3Server::start(&folder.join("s3"), BUCKET).await?;
        let mut options = WorkerOptions::within(folder.path());
        let mut holes = Holes::default();
        holes.set("pg.host", "127.0.0.1").set("pg.port", postgres.port()).set("pg.user", USER);
        holes.set("pg.password", PASSWORD).set("pg.database", &name).set("slot", &name);
        holes.set("hooks", receiver.url()).set("lake", folder.make("lake")?.display());
        holes.set("s3", s3.url()).set("s3.access", ACCESS_KEY).set("s3.secret", SECRET_KEY);
        holes.set("pipelines", options.pipelines.display()).set("data", options.data_dir.display());
        let built =
            towpath_binary()?.parent().and_then(Path::parent).map(|target| target.join("wasm32-wasip2/release"));
        holes.set("guests", built.unwrap_or_default().display());
        for (variable, value) in [("PG_PASSWORD", PASSWORD), ("S3_ACCESS", ACCESS_KEY), ("S3_SECRET", SECRET_KEY)] {
            options.environment.insert(variable.to_owned(), value.to_owned());
        }
        std::fs::create_dir_all(&options.pipelines)?;
        if case.join("pipelines").is_dir() {
            copy_pipelines(&case.join("pipelines"), &options.pipelines, &holes)?;
        }
        if let Ok(sql) = std::fs::read_to_string(case.join("given.sql")) {
            client.batch_execute(&holes.fill(&sql)).await.context("running given.sql")?;
        }
        let case = case.to_owned();
        Ok(Self { case, folder, postgres, client, slot: name, receiver, s3, holes, options, worker: None })
    }

    /// The folder of its files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory of its worker.
    pub(super) fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// The end of what the worker printed.
    pub(crate) fn last_output(&self) -> String {
        let printed = std::fs::read_to_string(&self.options.output).unwrap_or_default();
        let lines: Vec<&str> = printed.lines().collect();
        let from = lines.len().saturating_sub(30);
        format!("--- worker ---\n{}", lines.get(from..).unwrap_or_default().join("\n"))
    }

    /// Ends the worker, takes the slot out of the shared cluster, and removes the files.
    pub(crate) async fn end(mut self) -> Result<()> {
        if let Some(worker) = self.worker.take() {
            let status = worker.stop().await?;
            ensure!(status.success(), "the worker ended with {status}\n{}", self.last_output());
        }
        let superuser = self.postgres.connect_as_superuser("postgres").await?;
        let drop_slot = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like $1 || '%' and not active";
        superuser.execute(drop_slot, &[&self.slot]).await?;
        self.folder.remove()
    }

    /// Does a step, or waits until it is seen.
    pub(crate) async fn perform(&mut self, step: &Step, case: &Case) -> Result<()> {
        let within = Duration::from_secs(case.within_s);
        match step {
            Step::Start(environment) => self.start(environment).await,
            Step::End(ending) => self.end_worker(*ending).await,
            Step::Running(connectors) => {
                for connector in connectors {
                    self.worker()?.running(connector, within).await?;
                }
                Ok(())
            }
            Step::Sql(sql) => {
                let sql = self.holes.fill(sql);
                self.client.batch_execute(&sql).await.with_context(|| format!("running {sql}"))
            }
            Step::Write(write) => self.write(write),
            Step::Remove(file) => Ok(std::fs::remove_file(self.options.pipelines.join(file))?),
            Step::Rename(rename) => {
                let pipelines = &self.options.pipelines;
                Ok(std::fs::rename(pipelines.join(&rename.from), pipelines.join(&rename.to))?)
            }
            Step::Hooks(hooks) => self.hooks(hooks),
            Step::Rest(rest) if rest.method.is_some() => self.rest(rest).await,
            Step::Rest(rest) => eventually(&rest.path, within, || self.rest(rest)).await,
            Step::Log(log) => eventually(&log.topic, within, || look::at_log(self, log)).await,
            Step::Received(requests) => eventually("requests", within, || look::at_requests(self, requests)).await,
            Step::Objects(objects) => eventually("objects", within, || look::at_objects(self, objects)).await,
            Step::Towpath(command) => self.towpath(command).await,
            Step::Printed(expected) => {
                eventually("a message", within, || async {
                    mentions(&std::fs::read_to_string(&self.options.output)?, &expected.has, &expected.lacks)
                })
                .await
            }
            Step::Nowhere(texts) => {
                look::nowhere(self, &texts.iter().map(|text| self.holes.fill(text)).collect::<Vec<_>>()).await
            }
        }
    }

    /// A file of the case, with its holes filled.
    pub(super) fn file(&self, name: &str) -> Result<String> {
        let path = self.case.join(name);
        Ok(self.holes.fill(&std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?))
    }

    pub(super) fn worker(&self) -> Result<&Worker> {
        self.worker.as_ref().ok_or_else(|| anyhow!("the worker has not been started"))
    }

    pub(super) fn printed(&self) -> PathBuf {
        self.options.output.clone()
    }

    async fn start(&mut self, environment: &BTreeMap<String, String>) -> Result<()> {
        let mut options = self.options.clone();
        options.environment.extend(environment.iter().map(|(name, value)| (name.clone(), self.holes.fill(value))));
        self.worker = Some(Worker::start(&options).await?);
        Ok(())
    }

    async fn end_worker(&mut self, ending: Ending) -> Result<()> {
        let worker = self.worker.take().ok_or_else(|| anyhow!("the worker has not been started"))?;
        match ending {
            Ending::Kill => worker.kill().await,
            Ending::Term => {
                let status = worker.stop().await?;
                ensure!(status.success(), "the worker ended with {status}");
                Ok(())
            }
        }
    }

    /// Files appear by rename, as editors and deployments leave them.
    fn write(&self, write: &Write) -> Result<()> {
        let text = match (&write.text, &write.from) {
            (Some(text), None) => self.holes.fill(text),
            (None, Some(from)) => self.file(from)?,
            _ => bail!("write needs either text or from"),
        };
        let fresh = self.options.pipelines.join(format!(".{}.new", write.file));
        std::fs::write(&fresh, text)?;
        Ok(std::fs::rename(fresh, self.options.pipelines.join(&write.file))?)
    }

    fn hooks(&self, hooks: &Hooks) -> Result<()> {
        if hooks.clear {
            self.receiver.clear();
        }
        self.receiver.answer_next(hooks.next.iter().map(|word| answer(word)).collect::<Result<Vec<_>>>()?);
        if let Some(word) = &hooks.always {
            self.receiver.answer_always(answer(word)?);
        }
        if let Some(pattern) = &hooks.refuse {
            let pattern = regex::Regex::new(pattern)?;
            self.receiver.refuse(move |body| pattern.is_match(&String::from_utf8_lossy(body)));
        }
        match hooks.down {
            Some(true) => self.receiver.go_down(),
            Some(false) => self.receiver.come_up(),
            None => {}
        }
        Ok(())
    }

    async fn rest(&self, rest: &Rest) -> Result<()> {
        let method = Method::from_bytes(rest.method.as_deref().unwrap_or("GET").as_bytes())?;
        let body = match &rest.body {
            Some(body) => Some(serde_json::from_str(&self.holes.fill(&body.to_string()))?),
            None => None,
        };
        let (code, answer) = self.worker()?.rest().send(method, &self.holes.fill(&rest.path), body.as_ref()).await?;
        let text = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
        ensure!(code == rest.code, "{} answered {code} instead of {}: {text}", rest.path, rest.code);
        if let Some(expected) = &rest.like {
            like(expected, &answer)?;
        }
        mentions(&text, &rest.has, &rest.lacks)
    }

    async fn towpath(&self, command: &Command) -> Result<()> {
        let output = tokio::process::Command::new(towpath_binary()?)
            .args(command.arguments.iter().map(|argument| self.holes.fill(argument)))
            .envs(&self.options.environment)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = output.status.code().unwrap_or(-1);
        ensure!(code == command.code, "{:?} ended with {code} instead of {}:\n{text}", command.arguments, command.code);
        let filled = |patterns: &[String]| patterns.iter().map(|pattern| self.holes.fill(pattern)).collect::<Vec<_>>();
        mentions(&text, &filled(&command.has), &filled(&command.lacks))
    }
}

fn answer(word: &str) -> Result<Answer> {
    Ok(match word {
        "ok" | "200" => Answer::Accept,
        "slow" => Answer::Slow(SLOW),
        "throttle" => Answer::Throttle(1),
        "garbage" => Answer::Garbage,
        "hangup" => Answer::Hangup,
        code => Answer::Status(code.parse().with_context(|| format!("{code:?} is no answer"))?),
    })
}
