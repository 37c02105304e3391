//! Java classes that users name in configurations they bring along, the plugins that do their job here, and the way back.

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

/// The class of Kafka Connect's world that does a plugin's job there and knows its keys.
pub fn java_class(plugin: &str) -> Option<&'static str> {
    Some(match plugin {
        "postgres-cdc" => "io.debezium.connector.postgresql.PostgresConnector",
        "s3-sink" => "io.confluent.connect.s3.S3SinkConnector",
        "http-sink" => "io.confluent.connect.http.HttpSinkConnector",
        "file-source" => "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "file-sink" => "org.apache.kafka.connect.file.FileStreamSinkConnector",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_and_its_java_class_name_each_other() {
        for plugin in ["postgres-cdc", "s3-sink", "http-sink", "file-source", "file-sink"] {
            assert_eq!(java_class(plugin).and_then(plugin_for), Some(plugin));
        }
        assert_eq!(java_class("redact"), None);
    }
}
