//! The definition of the configuration, in the words of the HTTP sinks that people know.

use towpath_model::{Capability, ConnectorKind, Encoding, Scheme, Spec};
use towpath_sdk::{KeyDefinition, key};

/// What the connector says of itself.
pub fn spec() -> Spec {
    let text = |key: &str| key.to_owned();
    towpath_sdk::spec("http-sink", env!("CARGO_PKG_VERSION"), ConnectorKind::Sink)
        .doc("Sends records to an HTTP endpoint, one or many a request, at least once and in order per key.")
        .keys(endpoint_keys())
        .keys(auth_keys())
        .keys(batch_keys())
        .open_prefix("header.")
        .credential(
            "basic",
            Scheme::Basic { user_key: text("http.auth.user"), password_key: text("http.auth.password") },
        )
        .credential("bearer", Scheme::Bearer { token_key: text("http.auth.token") })
        .credential(
            "apikey",
            Scheme::Header { header_key: text("http.auth.apikey.header"), value_key: text("http.auth.apikey.value") },
        )
        .uses(Capability::Http)
        .accepts(Encoding::Json)
        .accepts(Encoding::Bytes)
        .build()
}

fn endpoint_keys() -> [KeyDefinition; 6] {
    [
        key("http.url")
            .url_endpoint()
            .alias("http.api.url")
            .doc("Where requests go: http://host:port/path or https://host/path.")
            .display("URL"),
        key("http.method")
            .default("POST")
            .one_of(&["POST", "PUT", "PATCH"])
            .alias("request.method")
            .medium()
            .doc("The method of the requests.")
            .display("Method"),
        key("http.headers")
            .list()
            .optional()
            .alias("http.headers.additional")
            .alias("headers")
            .medium()
            .doc(
                "Headers of every request, as Name:value with commas or | between them. A header whose value holds a comma is \
                 better set by a key of its own: header.Name.",
            )
            .display("Headers"),
        key("http.headers.content.type")
            .optional()
            .low()
            .doc(
                "The Content-Type of the requests. Left out, it follows from what is sent: application/json, \
                 application/x-ndjson or application/octet-stream.",
            )
            .display("Content type"),
        key("http.timeout.ms")
            .int()
            .default(30_000)
            .alias("http.request.timeout.ms")
            .alias("request.timeout.ms")
            .medium()
            .doc("Milliseconds that an answer may take, from the beginning of the request to the end of the answer.")
            .display("Timeout"),
        key("http.timeout")
            .int()
            .optional()
            .low()
            .doc("The same in seconds, as other sinks have it; when set, it counts instead of http.timeout.ms.")
            .display("Timeout in seconds"),
    ]
    .map(|key| key.group("Endpoint"))
}

fn auth_keys() -> [KeyDefinition; 6] {
    [
        key("http.auth.type")
            .default("none")
            .one_of(&["none", "basic", "bearer", "apikey"])
            .alias("http.authorization.type")
            .alias("auth.type")
            .dependents(&["http.auth.user", "http.auth.password", "http.auth.token", "http.auth.apikey.value"])
            .doc("How requests are authenticated. The worker adds the credentials; the connector never sees them.")
            .display("Authentication"),
        key("http.auth.user").optional().alias("connection.user").medium().doc("The user, for basic.").display("User"),
        key("http.auth.password")
            .password()
            .optional()
            .alias("connection.password")
            .medium()
            .doc("The password, for basic.")
            .display("Password"),
        key("http.auth.token").password().optional().medium().doc("The token, for bearer.").display("Token"),
        key("http.auth.apikey.header")
            .default("X-API-Key")
            .low()
            .doc("The header that carries the key, for apikey.")
            .display("API key header"),
        key("http.auth.apikey.value").password().optional().medium().doc("The key, for apikey.").display("API key"),
    ]
    .map(|key| key.group("Authentication"))
}

fn batch_keys() -> [KeyDefinition; 5] {
    [
        key("http.batch.mode")
            .optional()
            .one_of(&["single", "array", "lines"])
            .doc(
                "What a body is: single, a record's value as it is; array, a JSON array of values; lines, a value a line. Left \
                 out, it is array when batch.max.size is above 1, and otherwise single.",
            )
            .display("Batch mode"),
        key("batch.max.size")
            .int()
            .optional()
            .doc("The most records in a request. Left out, 500 for array and lines, 1 for single.")
            .display("Records a request"),
        key("linger.ms")
            .int()
            .default(0)
            .medium()
            .doc(
                "Milliseconds that a batch waits to be filled. With 0, what has come together is sent at once. Otherwise what fails is \
                 repeated as a batch, and errors.retry.mode=defer sets nothing apart.",
            )
            .display("Linger"),
        key("max.in.flight")
            .int()
            .default(16)
            .alias("max.in.flight.requests")
            .medium()
            .doc("The most requests under way at a time. Records of one key are sent one after another all the same.")
            .display("Requests in flight"),
        key("behavior.on.null.values")
            .default("ignore")
            .one_of(&["ignore", "write", "fail"])
            .medium()
            .doc(
                "What becomes of records without a value: ignore leaves them out and counts them, write sends them (an empty body; \
                 null in a batch), fail refuses them.",
            )
            .display("Null values"),
    ]
    .map(|key| key.group("Batches"))
}
