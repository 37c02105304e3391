//! The definition of the configuration, in the words of the S3 sinks that people know.

use towpath_model::{Capability, ConnectorKind, Encoding, Spec};
use towpath_sdk::{KeyDefinition, key};

/// What the connector says of itself.
pub fn spec() -> Spec {
    towpath_sdk::spec("s3-sink", env!("CARGO_PKG_VERSION"), ConnectorKind::Sink)
        .doc("Writes records as objects to S3, to what speaks its protocol, or to a folder; each offset exactly once.")
        .keys(store_keys())
        .keys(object_keys())
        .keys(rotation_keys())
        .uses(Capability::ObjectStore)
        .accepts(Encoding::Json)
        .accepts(Encoding::Bytes)
        .build()
}

fn store_keys() -> [KeyDefinition; 7] {
    [
        key("store.url")
            .optional()
            .store_endpoint()
            .alias("aws.s3.endpoint.url")
            .alias("aws.s3.endpoint")
            .doc(
                "Where the store is: file:///folder for a local folder, http://host:port or https://host:port for what speaks \
                 the protocol of S3. Left out, it is AWS.",
            )
            .display("Store URL"),
        key("s3.bucket.name")
            .alias("aws.s3.bucket.name")
            .alias("aws.s3.bucket")
            .doc("The bucket. In a local folder, the folder of this name within it.")
            .display("Bucket"),
        key("s3.region").default("us-east-1").alias("aws.s3.region").medium().doc("The region of the bucket.").display("Region"),
        key("aws.access.key.id")
            .optional()
            .alias("aws_access_key_id")
            .medium()
            .doc("The access key. Without it, the worker's environment decides.")
            .display("Access key"),
        key("aws.secret.access.key")
            .password()
            .optional()
            .alias("aws_secret_access_key")
            .medium()
            .doc("The secret of the access key. It stays in the worker.")
            .display("Secret key"),
        key("s3.path.style.access.enabled")
            .boolean()
            .default(true)
            .low()
            .doc("Whether the bucket stands in the path of the URL instead of in its host name.")
            .display("Path style"),
        key("storage.class")
            .default("io.confluent.connect.s3.storage.S3Storage")
            .one_of(&["io.confluent.connect.s3.storage.S3Storage"])
            .low()
            .doc("Taken so that configurations of other S3 sinks work as they are; it changes nothing.")
            .display("Storage class"),
    ]
    .map(|key| key.group("Store"))
}

fn object_keys() -> [KeyDefinition; 6] {
    [
        key("topics.dir").default("topics").doc("The folder in the bucket that holds a folder for each topic.").display("Folder"),
        key("format.class")
            .default("jsonl")
            .one_of(&[
                "jsonl",
                "raw",
                "io.confluent.connect.s3.format.json.JsonFormat",
                "io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
            ])
            .alias("format")
            .alias("format.output.type")
            .doc("How values are written: jsonl, one JSON document a line; or raw, the bytes and a line feed.")
            .display("Format"),
        key("s3.compression.type")
            .default("none")
            .one_of(&["none", "gzip"])
            .alias("file.compression.type")
            .medium()
            .dependents(&["s3.compression.level"])
            .doc("Whether objects are compressed.")
            .display("Compression"),
        key("s3.compression.level")
            .int()
            .default(-1)
            .low()
            .doc("How hard gzip tries, from 0 (not at all) to 9; -1 leaves it to gzip.")
            .display("Compression level"),
        key("partitioner.class")
            .default("default")
            .one_of(&["default", "io.confluent.connect.storage.partitioner.DefaultPartitioner"])
            .low()
            .doc("How objects are shared out among folders: default, one folder for each partition of the topic.")
            .display("Partitioner"),
        key("behavior.on.null.values")
            .default("ignore")
            .one_of(&["ignore", "write", "fail"])
            .medium()
            .doc(
                "What becomes of records without a value: ignore leaves them out and counts them, write keeps them (null in \
                 jsonl, an empty line in raw), fail refuses them.",
            )
            .display("Null values"),
    ]
    .map(|key| key.group("Objects"))
}

fn rotation_keys() -> [KeyDefinition; 3] {
    [
        key("flush.size")
            .long()
            .default(1000)
            .alias("file.max.records")
            .doc("Records in an object: with so many it is complete.")
            .display("Records an object"),
        key("rotate.interval.ms")
            .long()
            .default(-1)
            .doc(
                "Milliseconds from an object's first record to its completion, by the wall clock and also when no further record \
                 comes; -1 for no limit.",
            )
            .display("Age of an object"),
        key("rotate.schedule.interval.ms")
            .long()
            .default(-1)
            .medium()
            .doc(
                "Objects are completed whenever the wall clock (UTC) reaches a multiple of so many milliseconds; -1 for never.",
            )
            .display("Schedule"),
    ]
    .map(|key| key.group("Rotation"))
}
