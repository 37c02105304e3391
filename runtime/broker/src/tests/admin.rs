//! Topics and their configs, over the wire.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use towpath_log::Topics;

use super::{Client, Served, name};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn new_topic(topic: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic::default().with_name(name(topic)).with_num_partitions(partitions).with_replication_factor(replicas)
}

async fn metadata(client: &mut Client, version: i16, topic: &str, create: bool) -> (i16, usize) {
    let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![wanted]))
        .with_allow_auto_topic_creation(create || version < 4);
    let answer = client.call(version, &request).await;
    assert_eq!(answer.brokers.len(), 1);
    (answer.topics[0].error_code, answer.topics[0].partitions.len())
}

#[tokio::test]
async fn topics_are_created_grown_described_and_deleted() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for version in 2..=7 {
        let topic = format!("t{version}");
        let config = CreatableTopicConfig::default().with_name(text("retention.ms")).with_value(Some(text("5000")));
        let wanted = vec![
            // Three replicas, as tools for clusters ask for.
            new_topic(&topic, 3, 3).with_configs(vec![config]),
            new_topic("bad name", 1, 1),
            new_topic("no-partitions", 0, 1),
            new_topic("no-replicas", 1, 0),
        ];
        let request = CreateTopicsRequest::default().with_topics(wanted);
        let dry = client.call(version, &request.clone().with_validate_only(true)).await;
        let codes = |answer: &kafka_protocol::messages::CreateTopicsResponse| {
            answer.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>()
        };
        assert_eq!(codes(&dry), [0, 17, 37, 38], "version {version}");
        assert!(served.log.topic(&topic).is_none(), "it was only checked");
        assert_eq!(codes(&client.call(version, &request).await), [0, 17, 37, 38]);
        assert_eq!(codes(&client.call(version, &request).await), [36, 17, 37, 38], "it is there already");
        assert_eq!(metadata(&mut client, 9, &topic, false).await, (0, 3));
    }
    let grow = |count| {
        CreatePartitionsRequest::default()
            .with_topics(vec![CreatePartitionsTopic::default().with_name(name("t7")).with_count(count)])
    };
    assert_eq!(client.call(3, &grow(2)).await.results[0].error_code, 37);
    assert_eq!(client.call(3, &grow(5)).await.results[0].error_code, 0);
    assert_eq!(metadata(&mut client, 12, "t7", false).await, (0, 5));
    let id = served.log.topic("t6").expect("there").id;
    let gone = client
        .call(
            6,
            &DeleteTopicsRequest::default()
                .with_topics(vec![DeleteTopicState::default().with_name(None).with_topic_id(id)]),
        )
        .await;
    assert_eq!((gone.responses[0].error_code, gone.responses[0].name.clone()), (0, Some(name("t6"))));
    let gone = client
        .call(
            5,
            &DeleteTopicsRequest::default().with_topic_names(vec![name("t7"), name("t6"), name("__consumer_offsets")]),
        )
        .await;
    assert_eq!(gone.responses.iter().map(|one| one.error_code).collect::<Vec<_>>(), [0, 3, 29]);
    assert_eq!(metadata(&mut client, 9, "t7", false).await, (3, 0));
}

#[tokio::test]
async fn asking_for_a_topic_creates_it_where_both_sides_want_that() {
    let served = Served::start().await;
    let mut client = served.client().await;
    assert_eq!(metadata(&mut client, 9, "a", false).await, (3, 0));
    assert_eq!(metadata(&mut client, 9, "a", true).await, (0, 1));
    assert_eq!(metadata(&mut client, 1, "b", false).await, (0, 1), "older clients always want it");
    assert_eq!(metadata(&mut client, 9, "connect-configs", true).await, (29, 0), "the runtime makes its own");
    let own = CreateTopicsRequest::default().with_topics(vec![new_topic("__transaction_state", 1, 1)]);
    assert_eq!(client.call(7, &own).await.topics[0].error_code, 29);
    let served = Served::start_with(|config| config.auto_create_topics = false).await;
    assert_eq!(metadata(&mut served.client().await, 9, "a", true).await, (3, 0));
}

#[tokio::test]
async fn configs_are_described_with_their_sources_and_altered_one_by_one() {
    let served = Served::start().await;
    served.topic("orders", 1).await;
    let mut client = served.client().await;
    let alter = |operation: i8, key: &str, value: Option<&str>| {
        let config = AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(operation)
            .with_value(value.map(text));
        let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("orders"));
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])])
    };
    let cases = [
        (0, "retention.ms", Some("1000"), 0),
        (0, "retention.ms", Some("soon"), 40),
        (2, "cleanup.policy", Some("compact"), 0),
        (3, "cleanup.policy", Some("delete"), 0),
        (2, "retention.ms", Some("1"), 40),
        (0, "no.such.key", Some("1"), 40),
    ];
    for (operation, key, value, code) in cases {
        assert_eq!(
            client.call(1, &alter(operation, key, value)).await.responses[0].error_code,
            code,
            "{operation} {key}"
        );
    }
    let describe = |resource: i8, of: &str| {
        let resource = DescribeConfigsResource::default().with_resource_type(resource).with_resource_name(text(of));
        DescribeConfigsRequest::default()
            .with_resources(vec![resource.with_configuration_keys(None)])
            .with_include_synonyms(true)
    };
    for version in 1..=4 {
        let answer = client.call(version, &describe(2, "orders")).await;
        let value = |key: &str| {
            let found = answer.results[0].configs.iter().find(|config| config.name.as_str() == key).expect(key);
            (
                found.value.as_ref().map(ToString::to_string).unwrap_or_default(),
                found.config_source,
                found.synonyms.len(),
            )
        };
        assert_eq!(value("retention.ms"), ("1000".to_owned(), 1, 2));
        assert_eq!(value("cleanup.policy"), ("compact".to_owned(), 1, 2));
        assert_eq!(value("segment.bytes"), ("1073741824".to_owned(), 5, 1));
        assert!(client.call(version, &describe(4, "1")).await.results[0].configs.len() > 3);
        assert_eq!(client.call(version, &describe(2, "nowhere")).await.results[0].error_code, 3);
    }
    assert_eq!(client.call(1, &alter(1, "retention.ms", None)).await.responses[0].error_code, 0);
    assert_eq!(served.log.topic("orders").expect("there").configs.get("retention.ms"), None);
}

#[tokio::test]
async fn a_topic_that_is_deleted_and_created_anew_has_another_id() {
    let served = Served::start().await;
    let before = served.topic("orders", 1).await;
    let mut client = served.client().await;
    client.call(5, &DeleteTopicsRequest::default().with_topic_names(vec![name("orders")])).await;
    let after = served.topic("orders", 1).await;
    let by = |id| {
        let wanted = MetadataRequestTopic::default().with_name(None).with_topic_id(id);
        MetadataRequest::default().with_topics(Some(vec![wanted])).with_allow_auto_topic_creation(false)
    };
    assert_eq!(client.call(12, &by(before)).await.topics[0].error_code, 100);
    assert_eq!(client.call(12, &by(after)).await.topics[0].name, Some(name("orders")));
}
