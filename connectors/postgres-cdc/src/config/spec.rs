//! The definition of the keys: what the connector says of itself before any task runs.

use towpath_model::{Capability, ConnectorKind, Spec};
use towpath_sdk::{KeyDefinition, key};

use super::columns::OPEN_PREFIXES;

/// The spec of the connector.
pub fn spec() -> Spec {
    towpath_sdk::spec("postgres-cdc", env!("CARGO_PKG_VERSION"), ConnectorKind::Source)
        .doc("Change data capture from PostgreSQL: a snapshot of the tables, then every change, as Debezium gives them")
        .keys(connection())
        .keys(replication())
        .keys(filters())
        .keys(values())
        .keys(snapshot())
        .keys(columns())
        .keys(without_effect())
        .open_prefix(OPEN_PREFIXES[0])
        .open_prefix(OPEN_PREFIXES[1])
        .open_prefix(OPEN_PREFIXES[2])
        .uses(Capability::Streams)
        .uses(Capability::Scratch)
        .defines_transactions()
        .build()
}

fn connection() -> Vec<KeyDefinition> {
    let group = |name| key(name).group("Connection");
    vec![
        group("database.hostname").host_endpoint("database.port", 5432).doc("Name or address of the server"),
        group("database.port").int().default(5432).doc("Port of the server"),
        group("database.user").doc("Role to log in as; it needs LOGIN, REPLICATION and SELECT on the tables"),
        group("database.password").password().optional().doc("Password of the role"),
        group("database.dbname").doc("Database whose changes are captured"),
        group("topic.prefix")
            .doc("First part of every topic's name; also names the source in records and offsets. Never change it"),
        group("topic.delimiter")
            .default(".")
            .medium()
            .doc("What stands between prefix, schema and table in a topic's name"),
        group("database.sslmode")
            .default("prefer")
            .medium()
            .one_of(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
            .doc("Whether the connection is encrypted and the server's certificate checked"),
        group("database.sslrootcert")
            .optional()
            .medium()
            .doc("PEM file of the authorities to trust, read by the worker"),
        group("database.sslcert").optional().medium().doc("PEM file of the client's certificate, read by the worker"),
        group("database.sslkey").optional().medium().doc("PEM file of the client's private key, read by the worker"),
        group("database.query.timeout.ms")
            .int()
            .default(600_000)
            .low()
            .doc("Milliseconds the server may take to connect or to answer a query that controls the capture"),
    ]
}

fn replication() -> Vec<KeyDefinition> {
    let group = |name| key(name).group("Replication").medium();
    vec![
        group("plugin.name").default("pgoutput").doc("Output plugin of the slot; only pgoutput is supported, and used whatever stands here of Debezium's names"),
        group("slot.name").default("debezium").doc("Replication slot; made when it is missing. One for each connector"),
        group("slot.drop.on.stop").boolean().default(false).doc("Drop the slot when the task stops. What changes until the next start is then lost"),
        group("slot.failover").boolean().default(false).low().doc("Make the slot one that is kept in step on standbys (PostgreSQL 17 and later)"),
        group("publication.name").default("dbz_publication").doc("Publication that says which tables are captured"),
        group("publication.autocreate.mode")
            .default("all_tables")
            .one_of(&["all_tables", "filtered", "disabled", "no_tables"])
            .doc("Make a missing publication for all tables, for those of the filters (kept in step with them), empty, or not at all"),
        group("publish.via.partition.root")
            .boolean()
            .default(false)
            .doc("Whether a publication made here shows rows of partitions as rows of their root table"),
        group("status.update.interval.ms").int().default(10_000).low().doc("Milliseconds between reports to the server of how far changes are durable"),
        group("streaming.mode")
            .default("auto")
            .one_of(&["auto", "on", "off"])
            .doc("Whether the server sends large transactions while they are still open, so that little is left to do when they commit: where it can (PostgreSQL 14 and later), always, or never. Otherwise it keeps them on its own disk until they commit; so it does for ten minutes and longer after the task's scratch space ran out, and always with provide.transaction.metadata"),
        group("streaming.buffer.bytes")
            .int()
            .default(4 << 20)
            .low()
            .doc("Bytes of memory for transactions that are still open, over all of them. What is beyond is kept in the task's scratch files"),
        group("offset.mismatch.strategy")
            .default("no_validation")
            .one_of(&["no_validation", "trust_offset", "trust_slot", "trust_greater_lsn"])
            .low()
            .doc("When the slot has moved beyond the stored offset, so that changes are missing: refuse to start, or with trust_slot go on from the slot"),
    ]
}

fn filters() -> Vec<KeyDefinition> {
    let group = |name| key(name).group("Filters").medium();
    let list = |name| group(name).list().optional();
    vec![
        list("schema.include.list").doc("Regular expressions of schemas to capture; all when empty"),
        list("schema.exclude.list").doc("Regular expressions of schemas not to capture"),
        list("table.include.list").doc("Regular expressions of tables to capture, as schema.table; all when empty"),
        list("table.exclude.list").doc("Regular expressions of tables not to capture, as schema.table"),
        list("column.include.list")
            .doc("Regular expressions of columns to show, as schema.table.column; keys are always shown"),
        list("column.exclude.list").doc("Regular expressions of columns not to show, as schema.table.column"),
        group("skipped.operations")
            .list()
            .default("t")
            .low()
            .doc("Operations that make no records: c, u, d, t, or none"),
        list("message.prefix.include.list").doc("Regular expressions of prefixes: messages that applications put into the log by pg_logical_emit_message become records of the topic <topic.prefix>.message; all when empty"),
        list("message.prefix.exclude.list").doc("Regular expressions of prefixes of messages that make no records"),
        group("provide.transaction.metadata")
            .boolean()
            .default(false)
            .doc("Tell in each record which transaction it belongs to and its place there, and make records of every transaction's begin and end, with counts"),
        group("topic.transaction").default("transaction").low().doc("Second part of the name of the topic of transactions"),
        group("skip.messages.without.change")
            .boolean()
            .default(false)
            .low()
            .doc("Make no record of an update that changes nothing in the columns that are shown. The old row must be known: ALTER TABLE ... REPLICA IDENTITY FULL"),
        group("tombstones.on.delete")
            .boolean()
            .default(true)
            .doc("Follow each delete by a record with the same key and no value, so that compaction forgets the key"),
        group("extended.headers.enabled")
            .boolean()
            .default(true)
            .low()
            .doc("Give every record headers that name connector, task and run"),
    ]
}

fn values() -> Vec<KeyDefinition> {
    let group = |name| key(name).group("Values").medium();
    vec![
        group("decimal.handling.mode")
            .default("precise")
            .one_of(&["precise", "double", "string"])
            .doc("Decimals as exact bytes, as floating-point numbers, or as text"),
        group("numeric.special")
            .default("null")
            .one_of(&["null", "fail"])
            .low()
            .doc("NaN and infinity in decimals that are exact bytes, and timestamps that 64 bits of nanoseconds do not reach: as null (also in columns that are NOT NULL, whose schema then allows it), or the task fails"),
        group("time.precision.mode")
            .default("adaptive")
            .one_of(&["adaptive", "adaptive_time_microseconds", "connect", "microseconds", "nanoseconds", "isostring"])
            .doc("Unit of dates, times and timestamps: by the column's precision, always the same, or ISO 8601 text. Infinite dates are the largest and smallest 32-bit number; nanoseconds reach from 1677 to 2262, and numeric.special says what becomes of others"),
        group("interval.handling.mode").default("numeric").one_of(&["numeric", "string"]).low().doc("Intervals as microseconds (a month is 30.4375 days) or as ISO 8601 text"),
        group("hstore.handling.mode").default("json").one_of(&["json", "map"]).low().doc("hstore as the text of a JSON object, or as a map"),
        group("binary.handling.mode")
            .default("bytes")
            .one_of(&["bytes", "base64", "base64-url-safe", "hex"])
            .low()
            .doc("Representation of bytea"),
        group("money.fraction.digits").int().default(2).low().doc("Digits after the point of money"),
        group("include.unknown.datatypes").boolean().default(false).low().doc("Give columns of types that are not known as bytes of their text, rather than leaving them out"),
        group("unavailable.value.placeholder")
            .default("__debezium_unavailable_value")
            .doc("Stands for a large value that an update did not touch and the server did not send; hex: and digits for other bytes"),
    ]
}

fn columns() -> Vec<KeyDefinition> {
    let group = |name| key(name).group("Columns").low();
    let adjustment = |name| group(name).default("none").one_of(&["none", "avro", "avro_unicode"]);
    vec![
        group("message.key.columns")
            .optional()
            .doc("Columns of keys, for tables without one or instead of theirs: schema.table:column,column;schema.table:column, where tables are regular expressions"),
        group("column.propagate.source.type")
            .list()
            .optional()
            .doc("Regular expressions of columns, as schema.table.column, whose schemas tell type, length and scale as parameters"),
        group("datatype.propagate.source.type")
            .list()
            .optional()
            .doc("The same for types, as schema.table.type"),
        adjustment("schema.name.adjustment.mode").doc("How names of schemas that Avro does not allow are changed: with underscores, or with the characters' codes"),
        adjustment("field.name.adjustment.mode").doc("How names of fields that Avro does not allow are changed"),
    ]
}

fn snapshot() -> Vec<KeyDefinition> {
    let group = |name| key(name).group("Snapshot").medium();
    vec![
        group("snapshot.mode")
            .default("initial")
            .one_of(&["always", "initial", "initial_only", "no_data", "never", "when_needed"])
            .doc("Read the tables at the first start, at every start, only and then finish, never, or when the slot cannot serve the stored offset"),
        group("snapshot.max.threads")
            .int()
            .default(1)
            .doc("How many connections read the snapshot, 1 to 16. With more than one, large tables are divided among them and their rows come in no particular order; the first and the last row of each table and of the whole are marked as such all the same"),
        group("snapshot.include.collection.list").list().optional().doc("Regular expressions of tables to read, as schema.table; all that are captured when empty"),
    ]
}

/// Keys that Debezium knows and that are accepted so that its configurations work, though nothing follows from them here.
fn without_effect() -> Vec<KeyDefinition> {
    [
        ("database.tcpKeepAlive", "true", "Accepted without effect: the worker keeps connections alive"),
        (
            "slot.max.retries",
            "6",
            "Accepted without effect: a busy slot is asked for again until the worker's own limits",
        ),
        (
            "slot.retry.delay.ms",
            "10000",
            "Accepted without effect: a busy slot is asked for again at once and with backoff",
        ),
        ("flush.lsn.source", "true", "Accepted without effect: the slot moves with what is durable in the log"),
        ("lsn.flush.mode", "connector", "Accepted without effect: the slot moves with what is durable in the log"),
        ("max.batch.size", "2048", "Accepted without effect: the worker sizes batches"),
        ("max.queue.size", "8192", "Accepted without effect: there is no queue inside the connector"),
        ("max.queue.size.in.bytes", "0", "Accepted without effect: there is no queue inside the connector"),
        ("poll.interval.ms", "500", "Accepted without effect: changes are taken as they arrive"),
        ("heartbeat.interval.ms", "0", "Accepted without effect: an idle slot moves on without heartbeats"),
        ("snapshot.fetch.size", "10240", "Accepted without effect: tables are read as a stream"),
        ("snapshot.locking.mode", "none", "Accepted without effect: tables are never locked"),
        (
            "snapshot.isolation.mode",
            "serializable",
            "Accepted without effect: the snapshot is the slot's own, which is exact",
        ),
        ("schema.refresh.mode", "columns_diff", "Accepted without effect: schemas follow the stream"),
        ("errors.max.retries", "-1", "Accepted without effect: the worker decides on retries"),
        ("retriable.restart.connector.wait.ms", "10000", "Accepted without effect: the worker decides on retries"),
    ]
    .into_iter()
    .map(|(name, default, doc)| key(name).group("Compatibility").low().default(default).doc(doc))
    .collect()
}
