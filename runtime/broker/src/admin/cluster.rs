//! A Kafka cluster of any number of brokers: each request goes to the broker that answers it.
//!
//! ```text
//! records, ends      the partition's leader        topics, configs    the controller
//! offsets of groups  the group's coordinator       all else           whichever answers
//! ```
//! Leaders and coordinators are looked up when they are first needed; one that has moved meanwhile is an error, and whoever asked
//! begins anew. Brokers are those of Kafka 3.0 and later.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    DescribeGroupsRequest, FindCoordinatorRequest, GroupId, ListGroupsRequest, MetadataRequest,
};
use towpath_model::{Batch, TopicPartition};

use super::groups::{EARLIEST, LATEST};
use super::records::READ_COMMITTED;
use super::{Admin, AdminError, FetchedRecords, Reset, Tcp, checked, text};
use crate::node::topic_name;

/// How often something is asked for again that a cluster is about to have.
const READY_TRIES: u32 = 100;
const READY_WAIT: Duration = Duration::from_millis(200);

/// Clients of a cluster's brokers.
pub struct Cluster {
    brokers: BTreeMap<i32, String>,
    controller: i32,
    leaders: BTreeMap<TopicPartition, i32>,
    connected: BTreeMap<i32, Admin<Tcp>>,
}

/// Where a group stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterGroup {
    /// How many members it has.
    pub members: usize,
    /// The next offset to read, for each partition with one.
    pub committed: BTreeMap<TopicPartition, i64>,
}

impl Cluster {
    /// Finds the cluster by the first of these addresses that answers.
    ///
    /// # Errors
    /// [`AdminError::Unreachable`] where none does.
    pub async fn connect(addresses: &[String]) -> Result<Self, AdminError> {
        let mut failed = AdminError::Invalid("no address of a broker is given".to_owned());
        for address in addresses {
            match Self::found(address).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn found(address: &str) -> Result<Self, AdminError> {
        let mut first = Admin::new(Tcp::connect(address).await?);
        let answer = first.ask(9, &MetadataRequest::default().with_topics(Some(Vec::new()))).await?;
        let broker = |broker: kafka_protocol::messages::metadata_response::MetadataResponseBroker| {
            (broker.node_id.0, format!("{}:{}", broker.host, broker.port))
        };
        Ok(Self {
            brokers: answer.brokers.into_iter().map(broker).collect(),
            controller: answer.controller_id.0,
            leaders: BTreeMap::new(),
            connected: BTreeMap::new(),
        })
    }

    /// The names of all topics but the broker's own.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topic_names(&mut self) -> Result<Vec<String>, AdminError> {
        let answer = self.any().await?.ask(9, &MetadataRequest::default().with_topics(None)).await?;
        let topics = answer.topics.into_iter().filter(|topic| topic.error_code == 0 && !topic.is_internal);
        Ok(topics.filter_map(|topic| topic.name).map(|name| name.to_string()).collect())
    }

    /// How many partitions a topic has, where there is one.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn partitions(&mut self, topic: &str) -> Result<Option<i32>, AdminError> {
        let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(false);
        let answer = self.any().await?.ask(9, &request).await?;
        let found = answer.topics.into_iter().next();
        let found = found.ok_or_else(|| AdminError::Unsound("it names no topic".to_owned()))?;
        if found.error_code == Code::UnknownTopicOrPartition.code() {
            return Ok(None);
        }
        checked(found.error_code, None, format_args!("topic {topic}"))?;
        for part in &found.partitions {
            self.leaders.insert(TopicPartition::new(topic, part.partition_index), part.leader_id.0);
        }
        i32::try_from(found.partitions.len()).map(Some).map_err(|error| AdminError::Unsound(error.to_string()))
    }

    /// The configs of a topic that were set.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topic_configs(&mut self, topic: &str) -> Result<BTreeMap<String, String>, AdminError> {
        let configs = self.any().await?.configs(topic).await?.into_iter();
        let set = configs.filter(|config| config.source == super::ConfigSource::Topic);
        Ok(set.map(|config| (config.name, config.value)).collect())
    }

    /// Creates a topic; its partitions answer when it returns.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create_topic(
        &mut self,
        topic: &str,
        partitions: i32,
        configs: &BTreeMap<String, String>,
    ) -> Result<(), AdminError> {
        let controller = self.controller;
        self.broker(controller).await?.create_topic(topic, Some(partitions), configs, false).await?;
        // Brokers learn of it one after another, and answer for it when they have.
        for number in 0..partitions {
            let partition = TopicPartition::new(topic, number);
            let mut tries = 0;
            while let Err(error) = self.ends(&partition).await {
                if tries == READY_TRIES {
                    return Err(error);
                }
                tries += 1;
                self.leaders.remove(&partition);
                tokio::time::sleep(READY_WAIT).await;
            }
        }
        Ok(())
    }

    /// The first offset that a partition keeps, and the one after the last committed record.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn ends(&mut self, partition: &TopicPartition) -> Result<(i64, i64), AdminError> {
        let leader = self.leader(partition).await?;
        let only = std::slice::from_ref(partition);
        let start = leader.list_offsets(only, EARLIEST, READ_COMMITTED).await?.get(partition).copied();
        let end = leader.list_offsets(only, LATEST, READ_COMMITTED).await?.get(partition).copied();
        start
            .zip(end)
            .ok_or_else(|| AdminError::Unreachable(format!("the leader of {partition} does not know its ends")))
    }

    /// Reads committed records of a partition from an offset on.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn fetch(
        &mut self,
        partition: &TopicPartition,
        offset: i64,
        bytes_max: usize,
    ) -> Result<FetchedRecords, AdminError> {
        let leader = self.leader(partition).await?;
        let wanted = [(partition.partition, offset)];
        let fetched = leader.fetch(&partition.topic, &wanted, bytes_max, Duration::from_secs(1)).await?;
        fetched.into_iter().next().ok_or_else(|| AdminError::Unsound("it names no partition".to_owned()))
    }

    /// Appends records to a partition, all of them or none; those without a timestamp get this one. Gives the offset of the first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn append(
        &mut self,
        partition: &TopicPartition,
        records: &Batch,
        timestamp_ms: i64,
    ) -> Result<i64, AdminError> {
        let bytes = towpath_log::record_batch(records, timestamp_ms).into();
        self.leader(partition).await?.append(&partition.topic, partition.partition, bytes).await
    }

    /// The groups whose members speak a protocol, such as `connect`.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn groups_of(&mut self, protocol: &str) -> Result<Vec<String>, AdminError> {
        let mut found = Vec::new();
        for id in self.brokers.keys().copied().collect::<Vec<_>>() {
            let answer = self.broker(id).await?.ask(4, &ListGroupsRequest::default()).await?;
            checked(answer.error_code, None, "groups")?;
            let named = answer.groups.into_iter().filter(|group| group.protocol_type.as_str() == protocol);
            found.extend(named.map(|group| group.group_id.to_string()));
        }
        Ok(found)
    }

    /// Where a group stands; one that does not exist has neither members nor offsets.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn group(&mut self, group: &str) -> Result<ClusterGroup, AdminError> {
        let coordinator = self.coordinator(group).await?;
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        let answer = coordinator.ask(5, &request).await?;
        let mut members = 0;
        for found in answer.groups {
            checked(found.error_code, None, format_args!("group {group}"))?;
            members += found.members.len();
        }
        let committed = coordinator.committed(group).await?.into_iter();
        Ok(ClusterGroup { members, committed: committed.map(|(partition, (offset, _))| (partition, offset)).collect() })
    }

    /// Commits offsets of a group without members: all of them or none.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn commit(&mut self, group: &str, offsets: &[(TopicPartition, i64)]) -> Result<(), AdminError> {
        let reset =
            |(partition, to): &(TopicPartition, i64)| Reset { partition: partition.clone(), from: None, to: *to };
        let plan: Vec<Reset> = offsets.iter().map(reset).collect();
        self.coordinator(group).await?.reset(group, &plan).await
    }

    async fn coordinator(&mut self, group: &str) -> Result<&mut Admin<Tcp>, AdminError> {
        let request = FindCoordinatorRequest::default().with_key(text(group)).with_key_type(0);
        // A new cluster makes the topic of offsets now, and says so until it is there.
        let mut tries = 0;
        loop {
            let answer = self.any().await?.ask(3, &request).await?;
            let unready = answer.error_code == Code::CoordinatorNotAvailable.code();
            if unready && tries < READY_TRIES {
                tries += 1;
                tokio::time::sleep(READY_WAIT).await;
                continue;
            }
            checked(answer.error_code, answer.error_message.as_ref(), format_args!("group {group}"))?;
            self.brokers.insert(answer.node_id.0, format!("{}:{}", answer.host, answer.port));
            return self.broker(answer.node_id.0).await;
        }
    }

    async fn leader(&mut self, partition: &TopicPartition) -> Result<&mut Admin<Tcp>, AdminError> {
        if !self.leaders.contains_key(partition) {
            self.partitions(&partition.topic).await?;
        }
        match self.leaders.get(partition) {
            Some(leader) if *leader >= 0 => self.broker(*leader).await,
            Some(_) => Err(AdminError::Unreachable(format!("{partition} has no leader at the moment"))),
            None => Err(AdminError::Unreachable(format!("no broker knows {partition}"))),
        }
    }

    async fn any(&mut self) -> Result<&mut Admin<Tcp>, AdminError> {
        let known = self.connected.keys().next().or(self.brokers.keys().next()).copied();
        let known = known.ok_or_else(|| AdminError::Unsound("the cluster names no broker".to_owned()))?;
        self.broker(known).await
    }

    async fn broker(&mut self, id: i32) -> Result<&mut Admin<Tcp>, AdminError> {
        if !self.connected.contains_key(&id) {
            let address = self.brokers.get(&id);
            let address = address.ok_or_else(|| AdminError::Unreachable(format!("broker {id} is not there")))?;
            let connection = Admin::new(Tcp::connect(address).await?);
            self.connected.insert(id, connection);
        }
        self.connected.get_mut(&id).ok_or_else(|| AdminError::Unreachable(format!("broker {id} is not there")))
    }
}
