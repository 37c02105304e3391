//! What connectors say, all of them and those for HTTP, S3 and redaction.

use super::Blame::{Data, Environment, Input, Plugin};
use super::{Code, code};

pub(super) const CODES: &[Code] = &[
    code("connector.config", Input, "The connector does not take the value of a key.", "The message says why."),
    code(
        "connector.fatal",
        Plugin,
        "The connector gave up for a reason that does not pass.",
        "The message says why. Restart the connector when it is mended.",
    ),
    code(
        "connector.record",
        Plugin,
        "The connector refused a record and gave no code for it.",
        "The message is the connector's own.",
    ),
    code(
        "connector.records",
        Data,
        "The connector refused records.",
        "Look at the reasons; errors.tolerance and a dead letter queue let the others pass.",
    ),
    code(
        "connector.retriable",
        Environment,
        "The connector failed for a reason that may pass, and tries again.",
        "The message says why.",
    ),
    code(
        "connector.throttled",
        Environment,
        "The other side asked for a pause.",
        "It is kept. Ask for a higher limit there if it comes often.",
    ),
    code(
        "connector.unanswered",
        Environment,
        "A system did not answer while the configuration was looked at.",
        "Look at the host's name, and whether a firewall drops packets on the way.",
    ),
    code(
        "http.connection",
        Environment,
        "The endpoint cannot be reached, or broke off.",
        "It is tried again without end. Look whether it runs and its name is right.",
    ),
    code(
        "http.not_sent",
        Environment,
        "The record was not sent, because one before it on the same lane failed.",
        "It is sent when that one is.",
    ),
    code(
        "http.null_value",
        Data,
        "A record has no value, and a request needs a body.",
        "Drop tombstones with a transform, or use a dead letter queue.",
    ),
    code(
        "http.status",
        Environment,
        "The endpoint answered with a status that means no.",
        "The message shows status and answer. 4xx apart from 408, 425 and 429 refuses the record for good.",
    ),
    code(
        "http.timeout",
        Environment,
        "The endpoint did not answer in time.",
        "It is tried again. Raise http.timeout if it is slow by nature.",
    ),
    code("http.value", Data, "A record cannot be put into a request.", "The message says why."),
    code(
        "s3.null_value",
        Data,
        "A record has no value, and the format cannot write it.",
        "Set behavior.on.null.values to ignore, or use a dead letter queue.",
    ),
    code("s3.value", Data, "A record cannot be written in the format.", "The message says why."),
    code("redact.config", Input, "A setting of the transform cannot be used.", "The message says why."),
    code(
        "redact.value",
        Data,
        "A record cannot be redacted, and is not let through as it is.",
        "The message says why.",
    ),
];
