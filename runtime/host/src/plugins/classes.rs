//! Java classes that users name in configurations they bring along, and the plugins that do their job here.

/// The plugin that stands in for a class of Kafka Connect's world.
pub(crate) fn plugin_for(class: &str) -> Option<&'static str> {
    Some(match class {
        "io.debezium.connector.postgresql.PostgresConnector" => "postgres-cdc",
        "io.confluent.connect.s3.S3SinkConnector"
        | "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector"
        | "io.aiven.kafka.connect.s3.S3SinkConnector" => "s3-sink",
        "org.apache.kafka.connect.file.FileStreamSourceConnector"
        | "FileStreamSourceConnector"
        | "FileStreamSource" => "file-source",
        "org.apache.kafka.connect.file.FileStreamSinkConnector" | "FileStreamSinkConnector" | "FileStreamSink" => {
            "file-sink"
        }
        "io.confluent.connect.http.HttpSinkConnector" | "io.aiven.kafka.connect.http.HttpSinkConnector" => "http-sink",
        _ => return None,
    })
}
