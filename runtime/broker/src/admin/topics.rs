//! Topics and their configs.

use std::collections::BTreeMap;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, MetadataRequest,
};

use towpath_model::TopicPartition;
use uuid::Uuid;

use super::groups::{EARLIEST, LATEST};
use super::records::READ_COMMITTED;
use super::{Admin, AdminError, Transport, checked, text};
use crate::node::topic_name;

const TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// The source of a config that was set on the topic itself.
const FROM_TOPIC: i8 = 1;
const TIMEOUT_MS: i32 = 30_000;

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Whether its records are the broker's own.
    pub internal: bool,
    /// The first offset of each partition, and the one after the last record that can be read.
    pub partitions: Vec<(i64, i64)>,
    /// The configs that were set.
    pub configs: BTreeMap<String, String>,
}

/// A config of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where that comes from.
    pub source: ConfigSource,
}

/// Where the value of a config comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// It was set.
    Topic,
    /// Nobody set it.
    Default,
}

impl<T: Transport> Admin<T> {
    /// Creates a topic, or only says whether it could be. Gives the number of its partitions.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn create_topic(
        &mut self,
        name: &str,
        partitions: Option<i32>,
        configs: &BTreeMap<String, String>,
        validate_only: bool,
    ) -> Result<i32, AdminError> {
        let config = |(name, value): (&String, &String)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions.unwrap_or(-1))
            .with_replication_factor(-1)
            .with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(TIMEOUT_MS)
            .with_validate_only(validate_only);
        let answer = self.ask(7, &request).await?;
        let topic = answer.topics.first().ok_or_else(|| AdminError::Unsound("it names no topic".to_owned()))?;
        checked(topic.error_code, topic.error_message.as_ref(), format_args!("topic {name}"))?;
        Ok(topic.num_partitions)
    }

    /// Deletes a topic with its records.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn delete_topic(&mut self, name: &str) -> Result<(), AdminError> {
        let request =
            DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]).with_timeout_ms(TIMEOUT_MS);
        let answer = self.ask(5, &request).await?;
        let all = answer.responses.iter();
        all.map(|one| checked(one.error_code, one.error_message.as_ref(), format_args!("topic {name}"))).collect()
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn grow_topic(&mut self, name: &str, partitions: i32) -> Result<(), AdminError> {
        let topic = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(partitions);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
        let answer = self.ask(3, &request).await?;
        let all = answer.results.iter();
        all.map(|one| checked(one.error_code, one.error_message.as_ref(), format_args!("topic {name}"))).collect()
    }

    /// Sets configs of a topic, or takes them back to their defaults where the value is none.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn alter_configs(
        &mut self,
        name: &str,
        configs: &BTreeMap<String, Option<String>>,
    ) -> Result<(), AdminError> {
        let config = |(name, value): (&String, &Option<String>)| {
            let operation = if value.is_some() { SET } else { DELETE };
            let config = AlterableConfig::default().with_name(text(name)).with_config_operation(operation);
            config.with_value(value.as_deref().map(text))
        };
        let resource = AlterConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text(name));
        let resource = resource.with_configs(configs.iter().map(config).collect());
        let answer = self.ask(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource])).await?;
        let all = answer.responses.iter();
        all.map(|one| checked(one.error_code, one.error_message.as_ref(), format_args!("topic {name}"))).collect()
    }

    /// All topics, by name.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn topics(&mut self) -> Result<Vec<TopicListing>, AdminError> {
        let answer = self.ask(12, &MetadataRequest::default().with_topics(None)).await?;
        let mut topics = Vec::with_capacity(answer.topics.len());
        for topic in answer.topics.into_iter().filter(|topic| topic.error_code == 0) {
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            let index = |partition: i32| TopicPartition::new(name.as_str(), partition);
            let partitions: Vec<_> = topic.partitions.iter().map(|one| index(one.partition_index)).collect();
            let starts = self.list_offsets(&partitions, EARLIEST, READ_COMMITTED).await?;
            let ends = self.list_offsets(&partitions, LATEST, READ_COMMITTED).await?;
            let both = |partition: &TopicPartition| Some((*starts.get(partition)?, *ends.get(partition)?));
            let set = self.configs(&name).await?.into_iter().filter(|config| config.source == ConfigSource::Topic);
            topics.push(TopicListing {
                id: topic.topic_id,
                internal: topic.is_internal,
                partitions: partitions.iter().filter_map(both).collect(),
                configs: set.map(|config| (config.name, config.value)).collect(),
                name,
            });
        }
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    /// All configs of a topic.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn configs(&mut self, name: &str) -> Result<Vec<ConfigEntry>, AdminError> {
        let resource = DescribeConfigsResource::default().with_resource_type(TOPIC).with_resource_name(text(name));
        let resource = resource.with_configuration_keys(None);
        let answer = self.ask(4, &DescribeConfigsRequest::default().with_resources(vec![resource])).await?;
        let found = answer.results.into_iter().next();
        let found = found.ok_or_else(|| AdminError::Unsound("it names no topic".to_owned()))?;
        checked(found.error_code, found.error_message.as_ref(), format_args!("topic {name}"))?;
        let entry = |config: kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| {
            let source = if config.config_source == FROM_TOPIC { ConfigSource::Topic } else { ConfigSource::Default };
            ConfigEntry { name: config.name.to_string(), value: config.value.unwrap_or_default().to_string(), source }
        };
        Ok(found.configs.into_iter().map(entry).collect())
    }

    /// How many partitions a topic has; created, where `create` and the broker allow it.
    pub(super) async fn partitions(&mut self, name: &str, create: bool) -> Result<i32, AdminError> {
        let wanted = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(create);
        let answer = self.ask(9, &request).await?;
        let topic = answer.topics.first().ok_or_else(|| AdminError::Unsound("it names no topic".to_owned()))?;
        checked(topic.error_code, None, format_args!("topic {name}"))?;
        i32::try_from(topic.partitions.len()).map_err(|error| AdminError::Unsound(error.to_string()))
    }
}
