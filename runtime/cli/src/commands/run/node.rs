//! Everything that runs in the process, wired: REST, log, schema registry, Kafka listener, plugins, worker. Started in this order, ended in reverse.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use towpath_config::{Files, Policy, SecretStore};
use towpath_log::Embedded;
use towpath_model::{Clock, SystemClock};
use towpath_registry::{Registries, Registry};
use towpath_rest::Served;
use towpath_worker::{Secrets, Worker, WorkerConfig};

use super::Arguments;
use crate::addresses::Addresses;
use crate::failure::{Failure, Result};
use crate::kafka::Listener;
use crate::kafka_view::{KafkaView, Sinks};
use crate::log_view::LogView;
use crate::logging::Loggers;
use crate::{otlp, plugins, registry, storage};

/// A worker process with all its parts.
pub(super) struct Node {
    pub(super) served: Arc<Served>,
    log: Arc<Embedded>,
    working: JoinHandle<towpath_worker::Result<()>>,
    serving: JoinHandle<Result<(), towpath_rest::Error>>,
    /// None once it has ended.
    kafka: Option<Listener>,
    /// None where there is none, or once it has ended.
    registry: Option<registry::Listener>,
    stop_worker: watch::Sender<bool>,
    close_rest: watch::Sender<bool>,
    data_dir: std::path::PathBuf,
    /// None where nobody is sent traces, or once that has ended.
    traces: Option<otlp::Sending>,
    _plugins: plugins::Running,
}

impl Node {
    /// Starts everything; returns when the worker has read its state and answers.
    pub(super) async fn start(arguments: &Arguments, loggers: Loggers) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let started_ms = clock.now_ms();
        let server = arguments.rest.bind(&arguments.data_dir, &clock).await?;
        let (worker_id, opening) = (server.address().to_string(), server.opening());
        let (close_rest, closing) = watch::channel(false);
        let serving = tokio::spawn(server.run(closing));

        let data_dir = arguments.data_dir.clone();
        let log = storage::open(&data_dir, Arc::clone(&clock), arguments.registry.topics()).await?;
        let registry = arguments.registry.start(&data_dir, &log, &clock).await?;
        let sinks = Sinks::default();
        let kafka = arguments.kafka.start(&data_dir, &log, &clock, Some(sinks.clone())).await?;
        let plugins = plugins::open(&arguments.plugins, &arguments.dir, &data_dir).await?;
        let own = registry.as_ref().map(|listener| listener.registry().clone());
        let traces = arguments.otlp.start()?;
        let config = WorkerConfig {
            spans: traces.as_ref().map(otlp::Sending::spans),
            ..worker_config(arguments, &worker_id, own.clone())?
        };
        let worker = Worker::new(config, Arc::clone(&log) as _, plugins.all(), Arc::clone(&clock), storage::seed());
        let handle = worker.handle();
        sinks.are_of(handle.clone());
        let plugins = plugins.tell(handle.clone())?;
        let (stop_worker, stopping) = watch::channel(false);
        let working = tokio::spawn(worker.run(stopping));
        let served = Arc::new(Served {
            worker: handle,
            log: Arc::new(LogView::new(Arc::clone(&log))),
            kafka: Arc::new(KafkaView { broker: kafka.handle().clone(), registry: own }),
            loggers: Arc::new(loggers),
            cluster_id: log.cluster_id(),
            worker_id,
            started_ms,
            clock,
        });
        opening.open(Arc::clone(&served));
        let kafka = Some(kafka);
        let mut node = Self {
            served,
            log,
            working,
            serving,
            kafka,
            registry,
            stop_worker,
            close_rest,
            data_dir,
            traces,
            _plugins: plugins,
        };
        node.ready().await?;
        let rest = Some(node.served.worker_id.clone());
        let kafka = node.kafka.as_ref().and_then(Listener::address);
        let registry = node.registry.as_ref().map(|listener| listener.address().to_owned());
        let rest_tls = arguments.rest.speaks_tls();
        Addresses { rest, rest_tls, kafka, registry, pid: std::process::id(), started_ms }.write(&node.data_dir)?;
        Ok(node)
    }

    async fn ready(&mut self) -> Result<()> {
        let mut ready = self.served.worker.ready();
        tokio::select! {
            Ok(_) = ready.wait_for(|ready| *ready) => Ok(()),
            failed = self.failed() => Err(failed),
        }
    }

    /// Waits until a part ends that should not. Cancel safe.
    pub(super) async fn failed(&mut self) -> Failure {
        let mut log_failed = self.log.failed();
        tokio::select! {
            Ok(reason) = log_failed.wait_for(Option::is_some) => {
                log_has_failed(reason.as_ref())
            }
            ended = &mut self.working => ended_early("the worker", ended),
            ended = &mut self.serving => ended_early("the REST server", ended),
            ended = kafka_ended(&mut self.kafka) => ended_early("the Kafka listener", ended),
            ended = registry_ended(&mut self.registry) => ended_early("the schema registry", ended),
        }
    }

    /// Where Kafka clients connect.
    pub(super) fn kafka_told(&self) -> Option<String> {
        self.kafka.as_ref().and_then(Listener::told)
    }

    /// Where clients of the schema registry connect.
    pub(super) fn registry_told(&self) -> Option<&str> {
        self.registry.as_ref().map(registry::Listener::url)
    }

    /// Invariant 7: tasks finish and commit what they have begun; then everything closes.
    pub(super) async fn drain(&mut self) -> Result<()> {
        self.stop_worker.send_replace(true);
        let mut log_failed = self.log.failed();
        tokio::select! {
            drained = &mut self.working => part("the worker", drained)?,
            Ok(reason) = log_failed.wait_for(Option::is_some) => {
                return Err(log_has_failed(reason.as_ref()));
            }
        }
        Addresses::remove(&self.data_dir);
        if let Some(traces) = self.traces.take() {
            traces.end().await;
        }
        if let Some(kafka) = self.kafka.take() {
            part("the Kafka listener", kafka.close().await)?;
        }
        if let Some(registry) = self.registry.take() {
            part("the schema registry", registry.close().await)?;
        }
        self.close_rest.send_replace(true);
        part("the REST server", (&mut self.serving).await)?;
        self.log.close().await.map_err(|error| Failure::by_code(error).context("cannot close the log"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Also after a failure nobody shall look for this worker.
        Addresses::remove(&self.data_dir);
    }
}

/// Waits for the end of the listener, for ever where it has ended.
async fn kafka_ended(listener: &mut Option<Listener>) -> Ended<towpath_broker::Error> {
    match listener {
        Some(listener) => listener.ended().await,
        None => std::future::pending().await,
    }
}

/// Waits for the end of the registry, for ever where it has ended.
async fn registry_ended(listener: &mut Option<registry::Listener>) -> Ended<towpath_registry::Error> {
    match listener {
        Some(listener) => listener.ended().await,
        None => std::future::pending().await,
    }
}

fn worker_config(arguments: &Arguments, worker_id: &str, registry: Option<Registry>) -> Result<WorkerConfig> {
    let store = SecretStore::open(&storage::secrets_file(&arguments.data_dir)).map_err(Failure::environment)?;
    let own = [Some(&arguments.dir), Some(&arguments.data_dir), arguments.plugins.folder()];
    let files = Files {
        allowed: arguments.api_files.clone().unwrap_or_else(|| vec![std::env::temp_dir()]),
        except: own.into_iter().flatten().cloned().collect(),
    };
    let (env, paths) = (arguments.api_env.clone(), arguments.api_paths.clone());
    let api_policy = Policy::Allowed { env, paths, commands: arguments.api_secret_commands.clone(), files };
    let (store, commands) = (Some(Arc::new(store)), arguments.secret_commands.commands());
    Ok(WorkerConfig {
        worker_id: worker_id.into(),
        secrets: Secrets { store, api_policy, commands, ..Secrets::default() },
        folder: true,
        drain_timeout: Duration::from_secs(arguments.drain_seconds),
        registries: Arc::new(Registries::new(registry)),
        ..WorkerConfig::default()
    })
}

type Ended<E> = Result<Result<(), E>, JoinError>;

/// A part that ended in good order, or why it did not.
fn part<E: std::error::Error + Send + Sync + 'static>(what: &'static str, ended: Ended<E>) -> Result<()> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::by_code(error).context(format!("{what} failed"))),
        Err(panicked) => Err(Failure::ours(panicked).context(format!("{what} failed"))),
    }
}

fn log_has_failed(reason: Option<&towpath_log::Error>) -> Failure {
    let what = "the log has failed and recovers at the next start";
    match reason {
        Some(reason) => Failure::by_code(reason.clone()).context(what),
        None => Failure::ours(anyhow::anyhow!(what)),
    }
}

fn ended_early<E: std::error::Error + Send + Sync + 'static>(what: &'static str, ended: Ended<E>) -> Failure {
    match part(what, ended) {
        Err(failure) => failure,
        Ok(()) => Failure::ours(anyhow::anyhow!("{what} ended without being told to")),
    }
}
