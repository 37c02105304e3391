//! What operators ask, over a connection and from within the process.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use towpath_log::Topics;

use super::{Served, fetch, fetched};
use crate::Handle;
use crate::admin::{Admin, AdminError, ConfigSource, NewRecord, Tcp, Transport};

/// From within the process, as the REST interface asks.
struct Inside(Handle);

#[async_trait]
impl Transport for Inside {
    async fn exchange(&mut self, request: Bytes) -> Result<Bytes, AdminError> {
        self.0.call(request).await.map_err(AdminError::Unreachable)
    }
}

async fn checks<T: Transport>(mut admin: Admin<T>, topic: &str, served: &Served) {
    let configs = BTreeMap::from([("retention.ms".to_owned(), "5000".to_owned())]);
    assert_eq!(admin.create_topic(topic, Some(2), &configs, true).await.expect("it could be"), 2);
    assert!(served.log.topic(topic).is_none(), "it was only checked");
    admin.create_topic(topic, Some(2), &configs, false).await.expect("created");
    let twice = admin.create_topic(topic, None, &BTreeMap::new(), false).await.expect_err("it is there");
    assert!(twice.is_input() && twice.to_string().contains(topic), "{twice}");
    admin.grow_topic(topic, 3).await.expect("grown");
    let altered = [("retention.ms".to_owned(), None), ("cleanup.policy".to_owned(), Some("compact".to_owned()))];
    admin.alter_configs(topic, &altered.into()).await.expect("altered");
    let wrong = [("retention.ms".to_owned(), Some("soon".to_owned()))];
    let wrong = admin.alter_configs(topic, &wrong.into()).await.expect_err("no number");
    assert!(wrong.to_string().contains("retention.ms"), "{wrong}");
    let configs = admin.configs(topic).await.expect("described");
    let of = |name: &str| configs.iter().find(|config| config.name == name).expect(name).clone();
    assert_eq!((of("cleanup.policy").value.as_str(), of("cleanup.policy").source), ("compact", ConfigSource::Topic));
    assert_eq!(of("retention.ms").source, ConfigSource::Default);
    assert_eq!(admin.partitions_to_fill(topic).await.expect("told"), 3);
    let record = |value: &'static str| NewRecord {
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(value.as_bytes())),
        headers: vec![("h".to_owned(), None)],
        timestamp_ms: 7,
    };
    assert_eq!(admin.produce(topic, 2, &[record("a"), record("b")]).await.expect("durable"), 0);
    assert_eq!(admin.produce(topic, 2, &[record("c")]).await.expect("durable"), 2);
    let keyless = NewRecord { key: None, ..record("d") };
    assert!(admin.produce(topic, 2, &[keyless]).await.expect_err("it is compacted").is_input());
    let answer = served.client().await.call(12, &fetch(topic, uuid::Uuid::nil(), 0, &[(2, 0)])).await;
    let values: Vec<String> =
        fetched(&answer)[0].clone().expect("records").into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "c"]);
    admin.delete_topic(topic).await.expect("deleted");
    assert!(admin.delete_topic(topic).await.expect_err("it is gone").is_input());
    assert!(admin.delete_topic("__consumer_offsets").await.is_err(), "the runtime's own topics are kept here, too");
}

#[tokio::test]
async fn topics_and_records_are_looked_after_from_outside_and_from_within() {
    let served = Served::start().await;
    let tcp = Tcp::connect(&served.address.to_string()).await.expect("connected");
    checks(Admin::new(tcp), "outside", &served).await;
    checks(Admin::new(Inside(served.handle.clone())), "within", &served).await;
    let garbage = served.handle.call(Bytes::from_static(b"\0\x03\0\x0c")).await;
    assert!(garbage.is_err(), "what is no request is refused in words");
}

#[tokio::test]
async fn what_is_no_broker_or_asks_for_more_is_said_so() {
    let nobody = Tcp::connect("127.0.0.1:1").await.err().expect("nobody is there");
    assert!(!nobody.is_input() && nobody.to_string().contains("127.0.0.1:1"), "{nobody}");
    let served = Served::start_with(|config| {
        let text = ["SASL_PLAINTEXT://127.0.0.1:0".to_owned()];
        config.listeners = crate::ListenerConfig::parse_all(&text, &[], &[]).expect("a listener");
    })
    .await;
    let mut admin = Admin::new(Tcp::connect(&served.address.to_string()).await.expect("connected"));
    let refused = admin.groups(&[]).await.expect_err("it asks for a login").to_string();
    assert!(refused.contains("--url"), "{refused}");
}
