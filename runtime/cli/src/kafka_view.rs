//! The broker as the REST interface sees it, and the worker's sinks as the broker does: the two do not know each other.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use towpath_broker::{BrokerMetrics, Handle, Lag, ResidentGroup, ResidentMember, Residents};
use towpath_model::{ConnectorKind, TargetState, TopicPartition};
use towpath_registry::{Registry, RegistryMetrics};
use towpath_rest::{Family, Kafka};
use towpath_worker::{ConnectorStatus, TaskStatus};

/// A broker to look into, and the schema registry beside it.
pub(crate) struct KafkaView {
    pub(crate) broker: Handle,
    pub(crate) registry: Option<Registry>,
}

#[async_trait]
impl Kafka for KafkaView {
    async fn call(&self, request: Bytes) -> Result<Bytes, String> {
        self.broker.call(request).await
    }

    async fn numbers(&self) -> Vec<Family> {
        let mut families = of_listener(&self.broker.metrics());
        families.extend(of_groups(&self.broker.lags().await));
        families.extend(self.registry.iter().flat_map(|registry| of_registry(&registry.metrics())));
        families
    }
}

fn of_registry(metrics: &RegistryMetrics) -> Vec<Family> {
    let one =
        |name, counter, help, value: u64| Family { name, counter, help, samples: vec![(Vec::new(), value as f64)] };
    vec![
        one(
            "towpath_registry_subjects",
            false,
            "Subjects of the schema registry that are not deleted.",
            metrics.subjects,
        ),
        one("towpath_registry_schemas", false, "Schemas that have an id.", metrics.schemas),
        one(
            "towpath_registry_requests_total",
            true,
            "Requests that the schema registry answered.",
            metrics.requests_total,
        ),
        one(
            "towpath_registry_requests_refused_total",
            true,
            "Requests that it answered with an error.",
            metrics.requests_refused_total,
        ),
    ]
}

type Samples = Vec<(Vec<(&'static str, String)>, f64)>;

fn of_listener(metrics: &BrokerMetrics) -> Vec<Family> {
    let family = |name, counter, help, samples| Family { name, counter, help, samples };
    let one = |value: u64| -> Samples { vec![(Vec::new(), value as f64)] };
    let requests = |read: fn(&towpath_broker::RequestMetrics) -> f64| -> Samples {
        metrics.requests.iter().map(|api| (vec![("api", api.api.clone())], read(api))).collect()
    };
    let connections = metrics.connections.iter().map(|(name, open)| (vec![("listener", name.clone())], *open as f64));
    let errors = metrics.errors.iter().map(|(code, count)| (vec![("error", code.clone())], *count as f64));
    let hangups = metrics.hangups.iter().map(|(why, count)| (vec![("reason", (*why).to_owned())], *count as f64));
    let logins = [("ok", metrics.logins_total), ("refused", metrics.logins_refused_total)];
    let logins = logins.map(|(result, count)| (vec![("result", result.to_owned())], count as f64));
    vec![
        family("towpath_kafka_connections", false, "Open connections of Kafka clients.", connections.collect()),
        family(
            "towpath_kafka_connections_total",
            true,
            "Connections that were accepted.",
            one(metrics.connections_total),
        ),
        family(
            "towpath_kafka_connections_refused_total",
            true,
            "Connections that were turned away because there were too many.",
            one(metrics.turned_away_total),
        ),
        family(
            "towpath_kafka_hangups_total",
            true,
            "Connections that were closed from this side, by reason.",
            hangups.collect(),
        ),
        family("towpath_kafka_logins_total", true, "Logins of Kafka clients (SASL).", logins.to_vec()),
        family("towpath_kafka_requests_total", true, "Requests that were answered.", requests(|api| api.count as f64)),
        family(
            "towpath_kafka_request_seconds_total",
            true,
            "Time until they were answered, summed; a fetch counts its wait for records.",
            requests(|api| api.micros as f64 / 1e6),
        ),
        family(
            "towpath_kafka_errors_total",
            true,
            "Partitions of produce and fetch requests that were answered with an error.",
            errors.collect(),
        ),
        family("towpath_kafka_received_bytes_total", true, "Bytes of requests.", one(metrics.received_bytes_total)),
        family("towpath_kafka_sent_bytes_total", true, "Bytes of answers.", one(metrics.sent_bytes_total)),
    ]
}

fn of_groups(lags: &[Lag]) -> Vec<Family> {
    type Read = fn(&Lag) -> Option<f64>;
    let families: [(&'static str, &'static str, Read); 5] = [
        ("towpath_group_lag_records", "Records that the group has yet to read.", |lag| Some(lag.records as f64)),
        ("towpath_group_committed_offset", "The next offset that the group reads.", |lag| Some(lag.committed as f64)),
        ("towpath_group_lost_records", "Records that were deleted before the group read them.", |lag| {
            Some(lag.lost as f64)
        }),
        (
            "towpath_group_retention_left_seconds",
            "Until the first record that the group has yet to read may be deleted.",
            |lag| lag.time_left.map(|left| left.as_secs_f64()),
        ),
        (
            "towpath_group_retention_used_ratio",
            "How much of its retention that record has used up: alert above 0.8; at 1 records are lost.",
            |lag| Some(lag.exhaustion),
        ),
    ];
    let labels = |lag: &Lag| {
        let partition = lag.partition.partition.to_string();
        vec![("group", lag.group.clone()), ("topic", lag.partition.topic.to_string()), ("partition", partition)]
    };
    let family = |(name, help, read): (&'static str, &'static str, Read)| {
        let samples = lags.iter().filter_map(|lag| Some((labels(lag), read(lag)?))).collect();
        Family { name, counter: false, help, samples }
    };
    families.into_iter().map(family).collect()
}

/// The worker's sinks as groups, once there is a worker.
#[derive(Clone, Default)]
pub(crate) struct Sinks(Arc<OnceLock<towpath_worker::Handle>>);

impl Sinks {
    /// They are those of this worker; a second call changes nothing.
    pub(crate) fn are_of(&self, worker: towpath_worker::Handle) {
        // Set before: it is the same worker.
        let _ = self.0.set(worker);
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sinks")
    }
}

impl Residents for Sinks {
    fn is_ready(&self) -> bool {
        self.0.get().is_some_and(|worker| *worker.ready().borrow())
    }

    fn groups(&self) -> Vec<ResidentGroup> {
        let statuses = self.0.get().map(towpath_worker::Handle::statuses).unwrap_or_default();
        statuses.into_iter().filter(|status| status.kind == Some(ConnectorKind::Sink)).map(group).collect()
    }
}

/// Tasks are its members until they are gone; then its offsets are the operator's.
fn group(status: ConnectorStatus) -> ResidentGroup {
    let stopped = status.target == TargetState::Stopped && status.tasks.is_empty();
    let member = |task: TaskStatus| ResidentMember {
        member_id: format!("connector-consumer-{}-{}", task.id.connector, task.id.task),
        client_id: format!("connector-consumer-{}-{}", task.id.connector, task.id.task),
        partitions: task
            .metrics
            .partitions
            .iter()
            .map(|progress| TopicPartition::new(Arc::clone(&progress.topic), progress.partition))
            .collect(),
    };
    let members = if stopped { Vec::new() } else { status.tasks.into_iter().map(member).collect() };
    ResidentGroup { group: format!("connect-{}", status.name), members }
}
