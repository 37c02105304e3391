//! A Kafka Connect cluster, seen from its Kafka: where it keeps its state, whether its workers live, and what it keeps.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use towpath_broker::admin::{Cluster, ClusterGroup};
use towpath_model::{Config, ConnectorName, TopicPartition};
use towpath_worker::migration::{ConnectState, Kept, Unread};

use crate::failure::{Failure, Result};
use crate::operator::failure;

/// How much of a topic is read at a time.
const READ_BYTES: usize = 4 << 20;
/// The properties under which a worker names the converters of connectors that name none.
const CONVERTERS: [&str; 3] = ["key.converter", "value.converter", "header.converter"];
/// What a connector may keep its positions in, in place of the cluster's topic.
const OWN_OFFSETS: &str = "offsets.storage.topic";

/// Which cluster is meant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Brokers of the cluster's Kafka, which ask for neither TLS nor a login [default: those of --worker-config].
    #[arg(long, env = "TOWPATH_BOOTSTRAP_SERVER", value_name = "HOST:PORT,…", value_delimiter = ',')]
    bootstrap_server: Vec<String>,
    /// The properties that Connect's workers are started with. They name its topics and group, and the converters of connectors that name none.
    #[arg(long, env = "TOWPATH_WORKER_CONFIG", value_name = "FILE")]
    worker_config: Option<PathBuf>,
    /// The topic of configurations, `config.storage.topic` [default: that of --worker-config, or connect-configs].
    #[arg(long, env = "TOWPATH_CONFIG_TOPIC", value_name = "TOPIC")]
    config_topic: Option<String>,
    /// The topic of offsets, `offset.storage.topic` [default: that of --worker-config, or connect-offsets].
    #[arg(long, env = "TOWPATH_OFFSET_TOPIC", value_name = "TOPIC")]
    offset_topic: Option<String>,
    /// The topic of states, `status.storage.topic` [default: that of --worker-config, or connect-status].
    #[arg(long, env = "TOWPATH_STATUS_TOPIC", value_name = "TOPIC")]
    status_topic: Option<String>,
}

/// A cluster that answers.
pub(crate) struct ConnectCluster {
    pub(crate) kafka: Cluster,
    pub(crate) config_topic: String,
    pub(crate) offset_topic: String,
    status_topic: String,
    /// The workers' group, where it is known.
    group_id: Option<String>,
    /// The workers' converters with their settings, where they are known.
    pub(crate) converters: Config,
}

/// What a cluster keeps.
pub(crate) struct Read {
    pub(crate) connectors: BTreeMap<ConnectorName, Kept>,
    pub(crate) unread: Vec<Unread>,
}

impl Options {
    /// Finds the cluster.
    pub(crate) async fn connect(&self) -> Result<ConnectCluster> {
        let worker = self.worker_config.as_deref().map(read_properties).transpose()?.unwrap_or_default();
        let kafka = Cluster::connect(&self.addresses(&worker)?).await.map_err(failure)?;
        let topic = |flag: &Option<String>, key: &str, default: &str| {
            flag.clone().or_else(|| worker.get(key).map(str::to_owned)).unwrap_or_else(|| default.to_owned())
        };
        let is_converter = |key: &str| {
            CONVERTERS.iter().any(|converter| {
                key.strip_prefix(converter).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        Ok(ConnectCluster {
            kafka,
            config_topic: topic(&self.config_topic, "config.storage.topic", "connect-configs"),
            offset_topic: topic(&self.offset_topic, "offset.storage.topic", "connect-offsets"),
            status_topic: topic(&self.status_topic, "status.storage.topic", "connect-status"),
            group_id: worker.get("group.id").map(str::to_owned),
            converters: worker.iter().filter(|(key, _)| is_converter(key)).collect(),
        })
    }

    fn addresses(&self, worker: &Config) -> Result<Vec<String>> {
        if !self.bootstrap_server.is_empty() {
            return Ok(self.bootstrap_server.clone());
        }
        let Some(addresses) = worker.get("bootstrap.servers") else {
            return Err(Failure::input(
                "name a broker with --bootstrap-server, or the workers' properties with --worker-config",
            ));
        };
        if let Some(protocol) = worker.get("security.protocol").filter(|protocol| *protocol != "PLAINTEXT") {
            return Err(Failure::input(format!(
                "the brokers of --worker-config speak {protocol}, which this command does not. Name a PLAINTEXT listener with --bootstrap-server"
            )));
        }
        // A name in front of an address is for the listener's security alone.
        let address = |address: &str| address.trim().rsplit("://").next().unwrap_or_default().to_owned();
        Ok(addresses.split(',').map(address).filter(|address| !address.is_empty()).collect())
    }
}

fn read_properties(file: &Path) -> Result<Config> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::input(format!("{}: {error}", file.display())))?;
    Ok(towpath_config::properties(&text).into_iter().collect())
}

impl ConnectCluster {
    /// Refuses a cluster without the topics in which it would keep connectors.
    pub(crate) async fn require_topics(&mut self) -> Result<()> {
        for topic in [&self.config_topic, &self.offset_topic] {
            if self.kafka.partitions(topic).await.map_err(failure)?.is_none() {
                return Err(Failure::input(format!(
                    "there is no topic {topic}: name the cluster's topics with --worker-config, or with --config-topic, --offset-topic and --status-topic"
                )));
            }
        }
        Ok(())
    }

    /// Reads all that the cluster keeps of its connectors; nothing where its topics are not there.
    pub(crate) async fn read(&mut self) -> Result<Read> {
        let (configs, offsets, states) =
            (self.config_topic.clone(), self.offset_topic.clone(), self.status_topic.clone());
        let mut state = ConnectState::default();
        self.read_topic(&configs, |key, value| state.config(key, value)).await?;
        self.read_topic(&offsets, |key, value| state.offset(key, value)).await?;
        self.read_topic(&states, |key, value| state.status(key, value)).await?;
        let own = state.configs().filter_map(|config| config.get(OWN_OFFSETS).map(str::to_owned));
        let own: std::collections::BTreeSet<String> = own.filter(|topic| *topic != offsets).collect();
        for topic in own {
            // What stands there goes before what the cluster's topic has.
            self.read_topic(&topic, |key, value| state.offset(key, value)).await?;
        }
        let (connectors, unread) = state.connectors();
        Ok(Read { connectors, unread })
    }

    /// Reads a topic from its start to its present end, where there is one.
    async fn read_topic(&mut self, topic: &str, mut each: impl FnMut(&[u8], Option<&[u8]>)) -> Result<()> {
        for number in 0..self.kafka.partitions(topic).await.map_err(failure)?.unwrap_or(0) {
            let partition = TopicPartition::new(topic, number);
            let (mut offset, end) = self.kafka.ends(&partition).await.map_err(failure)?;
            while offset < end {
                let fetched = self.kafka.fetch(&partition, offset, READ_BYTES).await.map_err(failure)?;
                if fetched.next_offset <= offset {
                    return Err(Failure::environment(anyhow::anyhow!(
                        "{partition} ends at {offset} and not at {end}, as its broker says"
                    )));
                }
                for record in fetched.records.records() {
                    if let Some(key) = record.key.bytes {
                        each(key, record.value.bytes);
                    }
                }
                offset = fetched.next_offset;
            }
        }
        Ok(())
    }

    /// Whether workers of the cluster live, as far as that can be seen: where their group is not known, those of any cluster count.
    pub(crate) async fn lives(&mut self) -> Result<bool> {
        match self.group_id.clone() {
            Some(group) => Ok(self.kafka.group(&group).await.map_err(failure)?.members > 0),
            None => {
                let groups = self.kafka.groups_of("connect").await.map_err(failure)?;
                for group in groups {
                    if self.kafka.group(&group).await.map_err(failure)?.members > 0 {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// The consumer group of a sink.
    pub(crate) async fn group_of(&mut self, name: &ConnectorName, config: &Config) -> Result<ClusterGroup> {
        self.kafka.group(&group_id(name, config)).await.map_err(failure)
    }
}

/// The group of a sink's consumers.
pub(crate) fn group_id(name: &ConnectorName, config: &Config) -> String {
    config.get("consumer.override.group.id").map_or_else(|| format!("connect-{name}"), str::to_owned)
}
