//! Topics and their configs, over the wire.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreateAclsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteAclsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, DescribeAclsRequest, DescribeConfigsRequest, DescribeLogDirsRequest,
    DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest, MetadataRequest,
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
async fn who_names_no_number_of_partitions_gets_that_of_the_broker() {
    let served = Served::start_with(|config| config.num_partitions = 4).await;
    let mut client = served.client().await;
    assert_eq!(metadata(&mut client, 9, "asked-for", true).await, (0, 4));
    let request = CreateTopicsRequest::default().with_topics(vec![new_topic("made", -1, -1)]);
    assert_eq!(client.call(7, &request).await.topics[0].num_partitions, 4);
    assert_eq!(metadata(&mut client, 9, "made", false).await, (0, 4));
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
    let own = CreateTopicsRequest::default().with_topics(vec![new_topic("connect-offsets", 1, 1)]);
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

#[tokio::test]
async fn records_are_deleted_up_to_an_offset_and_sizes_are_told() {
    use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    let served = Served::start().await;
    let id = served.topic("orders", 1).await;
    let mut client = served.client().await;
    let batches = super::values_batch(&["a", "b", "c"]);
    client.call(9, &super::produce("orders", uuid::Uuid::nil(), -1, &[(0, batches)])).await;
    let delete = |topic: &str, offset: i64| {
        let part = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![part]);
        DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000)
    };
    for (topic, offset, expected) in
        [("orders", 2, (0, 2)), ("orders", 1, (0, 2)), ("orders", 9, (1, -1)), ("__consumer_offsets", 0, (29, -1))]
    {
        let answer = client.call(2, &delete(topic, offset)).await;
        let part = &answer.topics[0].partitions[0];
        assert_eq!((part.error_code, part.low_watermark), expected, "{topic} {offset}");
    }
    let sizes = client.call(4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    let topic = sizes.results[0].topics.iter().find(|topic| topic.name == name("orders")).expect("there");
    assert!(topic.partitions[0].partition_size > 0);
    let served = served.restart().await;
    let mut client = served.client().await;
    let before = client.call(12, &super::fetch("orders", id, 0, &[(0, 1)])).await;
    assert_eq!(super::fetched(&before), [Err(1)], "what was deleted came back");
    assert_eq!(client.call(2, &delete("orders", -1)).await.topics[0].partitions[0].low_watermark, 3);
}

#[tokio::test]
async fn topics_are_described_in_pages() {
    use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
    let served = Served::start().await;
    served.topic("a", 3).await;
    served.topic("b", 2).await;
    let mut client = served.client().await;
    let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let wanted = ["a", "b", "c"].map(|topic| TopicRequest::default().with_name(name(topic)));
        let request = DescribeTopicPartitionsRequest::default().with_topics(wanted.into()).with_cursor(cursor);
        let answer = client.call(0, &request.with_response_partition_limit(2)).await;
        pages += 1;
        for topic in answer.topics {
            let text = topic.name.expect("a name").to_string();
            found.extend(topic.partitions.iter().map(|partition| (text.clone(), partition.partition_index)));
            assert_eq!(topic.error_code, if text == "c" { 3 } else { 0 });
            // The Java client ends on null.
            assert!(
                topic
                    .partitions
                    .iter()
                    .all(|one| one.eligible_leader_replicas.is_some() && one.last_known_elr.is_some())
            );
        }
        let Some(next) = answer.next_cursor else { break };
        cursor = Some(Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index));
    }
    let expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)].map(|(topic, index)| (topic.to_owned(), index));
    assert_eq!((found, pages), (expected.to_vec(), 3));
}

#[tokio::test]
async fn more_replicas_than_brokers_are_refused_where_the_policy_is_strict() {
    for (strict, code) in [(false, 0), (true, 38)] {
        let served = Served::start_with(|config| config.strict_replication = strict).await;
        let request = CreateTopicsRequest::default().with_topics(vec![new_topic("orders", 1, 3)]);
        assert_eq!(served.client().await.call(7, &request).await.topics[0].error_code, code);
    }
}

#[tokio::test]
async fn acls_are_answered_as_by_a_broker_without_an_authorizer() {
    const SECURITY_DISABLED: i16 = 54;
    let served = Served::start().await;
    let mut client = served.client().await;
    let described = client.call(3, &DescribeAclsRequest::default()).await;
    let words = described.error_message.expect("words");
    assert_eq!((described.error_code, &*words), (SECURITY_DISABLED, "No Authorizer is configured on the broker"));
    let creations = vec![AclCreation::default(), AclCreation::default()];
    let created = client.call(3, &CreateAclsRequest::default().with_creations(creations)).await.results;
    let created: Vec<_> = created.into_iter().map(|one| (one.error_code, one.error_message)).collect();
    let refusal = (SECURITY_DISABLED, Some(text("No Authorizer is configured.")));
    assert_eq!(created, [refusal.clone(), refusal.clone()]);
    let filters = vec![DeleteAclsFilter::default()];
    let deleted = client.call(3, &DeleteAclsRequest::default().with_filters(filters)).await.filter_results;
    assert_eq!(deleted.into_iter().map(|one| (one.error_code, one.error_message)).collect::<Vec<_>>(), [refusal]);
}
