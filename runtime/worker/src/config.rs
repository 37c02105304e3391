//! What a worker is told at its start. Defaults are for one worker on its own machine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use towpath_config::{Answers, Files, Policy, Providers, ResolveError, Resolved, SecretStore, questions, resolve};
use towpath_convert::{SchemaRegistries, Unconnected};
use towpath_model::{Config, Spec};

use crate::answers::Owner;
use crate::spans::Spans;

/// The configuration of a worker.
#[derive(Clone)]
pub struct WorkerConfig {
    /// Shown as `worker_id`: `host:port` of the REST listener.
    pub worker_id: Arc<str>,
    /// Names of the worker's own topics.
    pub topics: InternalTopics,
    /// Limits of every task, where its connector sets none.
    pub limits: Limits,
    /// How failed tasks are started again.
    pub restarts: Restarts,
    /// Where references to secrets lead.
    pub secrets: Secrets,
    /// Whether a folder governs the connectors owned by files: they start once it has been applied for the first time, so that
    /// a file that was removed while the worker was down does not come to life again.
    pub folder: bool,
    /// How long tasks may take to drain at shutdown before they are cut off.
    pub drain_timeout: Duration,
    /// Where converters look for schemas.
    pub registries: Arc<dyn SchemaRegistries>,
    /// Who is told what tasks do with batches; mostly nobody.
    pub spans: Option<Arc<dyn Spans>>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            worker_id: "127.0.0.1:8083".into(),
            topics: InternalTopics::default(),
            limits: Limits::default(),
            restarts: Restarts::default(),
            secrets: Secrets::default(),
            folder: false,
            drain_timeout: Duration::from_secs(20),
            registries: Arc::new(Unconnected),
            spans: None,
        }
    }
}

/// Reads a variable of the environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Runs the commands that give secrets.
#[async_trait]
pub trait SecretCommands: Send + Sync {
    /// What the command of this name answers to an argument. It is bounded in time; dropping the call ends it.
    ///
    /// # Errors
    /// Why there is no secret, in a sentence that shows none.
    async fn ask(&self, command: &str, argument: &str) -> std::result::Result<String, String>;
}

/// Where references to secrets lead.
#[derive(Clone)]
pub struct Secrets {
    /// The store of literals that came over REST.
    pub store: Option<Arc<SecretStore>>,
    /// Where references of configurations that came over REST may point.
    pub api_policy: Policy,
    /// Reads the environment.
    pub env: Environment,
    /// Runs commands; none where there are none.
    pub commands: Option<Arc<dyn SecretCommands>>,
}

impl Secrets {
    /// A configuration with its references resolved; commands are asked now, all at once.
    ///
    /// # Errors
    /// All references that cannot be resolved or are not allowed.
    pub(crate) async fn resolve(
        &self,
        config: &Config,
        spec: &Spec,
        policy: &Policy,
    ) -> std::result::Result<Resolved, Vec<ResolveError>> {
        let asked = questions(config, policy).into_iter().map(|question| async {
            let (command, argument) = &question;
            let answer = match &self.commands {
                Some(commands) => commands.ask(command, argument).await,
                None => Err("the worker knows no commands".to_owned()),
            };
            (question, answer)
        });
        let answers = join_all(asked).await.into_iter().collect();
        self.resolve_with(config, spec, policy, &answers)
    }

    /// The same with what commands have answered already.
    ///
    /// # Errors
    /// As those of [`resolve`](Self::resolve).
    pub(crate) fn resolve_with(
        &self,
        config: &Config,
        spec: &Spec,
        policy: &Policy,
        answers: &Answers,
    ) -> std::result::Result<Resolved, Vec<ResolveError>> {
        resolve(config, spec, policy, Providers { store: self.store.as_deref(), env: &*self.env, answers })
    }

    /// What references of a configuration may point at. A folder's files are the operator's own.
    pub(crate) fn policy(&self, owner: &Owner) -> &Policy {
        match owner {
            Owner::File { .. } => &Policy::Trusted,
            Owner::Api => &self.api_policy,
        }
    }
}

impl Default for Secrets {
    /// No store, nothing allowed over REST, the process's environment.
    fn default() -> Self {
        let (env, paths, commands) = (Vec::new(), Vec::new(), Vec::new());
        let api_policy = Policy::Allowed { env, paths, commands, files: Files::default() };
        Self { store: None, api_policy, env: Arc::new(|name| std::env::var(name).ok()), commands: None }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("api_policy", &self.api_policy).finish_non_exhaustive()
    }
}

/// Names of the worker's own topics, as Kafka Connect's worker keys name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopics {
    /// `config.storage.topic`.
    pub configs: String,
    /// `offset.storage.topic`.
    pub offsets: String,
    /// `offset.storage.partitions`.
    pub offsets_partitions: i32,
    /// `status.storage.topic`.
    pub status: String,
    /// `status.storage.partitions`.
    pub status_partitions: i32,
}

impl Default for InternalTopics {
    fn default() -> Self {
        Self {
            configs: "connect-configs".into(),
            offsets: "connect-offsets".into(),
            offsets_partitions: 25,
            status: "connect-status".into(),
            status_partitions: 5,
        }
    }
}

/// Bounds on what a task holds and waits for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most records in a batch.
    pub batch_records: u32,
    /// The most bytes in a batch.
    pub batch_bytes: u32,
    /// How many batches of a source may be on their way into the log at once.
    pub commits_in_flight: usize,
    /// The longest wait inside a poll; interrupts end it early.
    pub poll_wait: Duration,
    /// How long the log may be busy before a source is asked to keep its connections alive.
    pub keep_alive: Duration,
    /// How often a sink flushes and commits when it has no reason of its own.
    pub offset_commit_interval: Duration,
    /// The most bytes that a guest should hold in buffers of its own.
    pub buffer_bytes: u64,
    /// How many of the last errors of a connector are kept.
    pub errors_kept: usize,
    /// How long data may stand still before health says stalled.
    pub stall_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_records: 16_384,
            batch_bytes: 512 << 10,
            commits_in_flight: 4,
            poll_wait: Duration::from_secs(60),
            keep_alive: Duration::from_secs(1),
            offset_commit_interval: Duration::from_secs(1),
            buffer_bytes: 64 << 20,
            errors_kept: 20,
            stall_after: Duration::from_secs(60),
        }
    }
}

/// How failed tasks are started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// The wait before the first new start.
    pub delay: Duration,
    /// The longest wait.
    pub delay_max: Duration,
    /// How many new starts in a row before the task stays FAILED.
    pub budget: u32,
    /// A task that ran for so long has its budget and delay reset.
    pub healthy_after: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(300),
            budget: 20,
            healthy_after: Duration::from_secs(120),
        }
    }
}
