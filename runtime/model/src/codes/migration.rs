//! What is said of connectors that are taken over from Kafka Connect, or given back.

use super::Blame::{Environment, Input};
use super::{Code, code};

pub(super) const CODES: &[Code] = &[
    code(
        "migration.different",
        Input,
        "A connector that is to be moved is on the other side already, with other positions or another configuration.",
        "It was moved before and has gone on since. Name the others with --connector, or replace what is there with --overwrite.",
    ),
    code(
        "migration.file",
        Input,
        "A file of the folder stands where that of a connector is to be, or names the same connector.",
        "Move it away, or replace it with --overwrite.",
    ),
    code(
        "migration.gone",
        Environment,
        "A sink has not read records that the cluster no longer keeps. It goes on at the first that is kept.",
        "Nothing: they are lost in Kafka, too.",
    ),
    code(
        "migration.no_java_class",
        Input,
        "A connector that is given to Connect runs a plugin that is not known to have a counterpart in Java.",
        "Give it the class of a plugin that Connect has, once it is there.",
    ),
    code(
        "migration.offsets",
        Input,
        "A plugin cannot go on from the positions that the same connector had in Connect.",
        "Name the others with --connector. Or bring the positions into the form that the message names, in Connect.",
    ),
    code(
        "migration.references",
        Environment,
        "A connector that is given to Connect refers to files or variables.",
        "Start Connect's workers with config.providers, and put the files and variables where those look for them.",
    ),
    code(
        "migration.revealed",
        Environment,
        "Secrets that the worker keeps in a store of its own stand in Connect's topic in clear, for nobody else can follow references to them.",
        "Connect keeps literals so. To hide them, refer to a file there: ${file:/path:key}.",
    ),
    code(
        "migration.running",
        Input,
        "A connector that is to be moved may still run in Connect, or would at once.",
        "End Connect's workers; or, before it is taken over, stop the connector there: PUT /connectors/NAME/stop.",
    ),
    code(
        "migration.topic",
        Input,
        "A topic is on both sides, and one is not the continuation of the other.",
        "Delete the one that is to go on, or choose another place for it.",
    ),
    code(
        "migration.unknown_converter",
        Input,
        "A connector has the converters of its worker, and those are not known.",
        "Name the properties that Connect's workers are started with: --worker-config.",
    ),
    code(
        "migration.unread",
        Environment,
        "A record of the topics in which Connect keeps its state cannot be read. What it says is left out.",
        "Look whether something else writes to that topic.",
    ),
];
