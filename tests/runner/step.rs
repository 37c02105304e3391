//! What stands in a `case.yaml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A behaviour and how it is seen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The behaviour, in a sentence.
    pub(crate) about: String,
    /// The longest time that a step waits for what it wants to see.
    #[serde(default = "Case::default_within")]
    pub(crate) within_s: u64,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
}

impl Case {
    fn default_within() -> u64 {
        120
    }
}

/// Something that is done or seen.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// Starts the worker, with further environment variables.
    Start(BTreeMap<String, String>),
    /// Ends the worker with this signal: `term`, which must end well, or `kill`.
    End(Ending),
    /// Waits until these connectors and their tasks are RUNNING.
    Running(Vec<String>),
    /// Runs SQL in the case's database.
    Sql(String),
    /// Writes a file of the pipelines folder: its text, or `from` a file of the case.
    Write(Write),
    /// Removes a file of the pipelines folder.
    Remove(String),
    /// Renames a file of the pipelines folder.
    Rename(Rename),
    /// Changes how the HTTP server answers.
    Hooks(Hooks),
    /// A request to the worker.
    Rest(Rest),
    /// Looks at the records of a topic.
    Log(LookAtLog),
    /// Looks at the requests that the HTTP server accepted.
    Received(LookAtRequests),
    /// Looks at the objects that a sink wrote.
    Objects(LookAtObjects),
    /// Runs a command of towpath to its end.
    Towpath(Command),
    /// Looks at what the worker printed.
    Printed(Mentions),
    /// These texts appear nowhere: not in what the worker printed, nor in its data, nor in any answer of its REST interface.
    Nowhere(Vec<String>),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    Term,
    Kill,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Write {
    pub(crate) file: String,
    #[serde(default)]
    pub(crate) text: Option<String>,
    #[serde(default)]
    pub(crate) from: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rename {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// How requests are answered: `200`, another status, `slow`, `throttle`, `garbage`, `hangup`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Hooks {
    /// The next requests, one each.
    pub(crate) next: Vec<String>,
    /// All that follow.
    pub(crate) always: Option<String>,
    /// 422 to bodies that match this pattern.
    pub(crate) refuse: Option<String>,
    /// Refuses connections, or takes them again.
    pub(crate) down: Option<bool>,
    /// Forgets what was received.
    pub(crate) clear: bool,
}

/// A request; without a method it is a look and is repeated until the answer fits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rest {
    #[serde(default)]
    pub(crate) method: Option<String>,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) body: Option<Value>,
    #[serde(default = "Rest::default_code")]
    pub(crate) code: u16,
    #[serde(default)]
    pub(crate) like: Option<Value>,
    #[serde(default)]
    pub(crate) has: Vec<String>,
    #[serde(default)]
    pub(crate) lacks: Vec<String>,
}

impl Rest {
    fn default_code() -> u16 {
        200
    }
}

/// Expected records: a file of JSON lines, or a list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Expected {
    File(String),
    List(Vec<Value>),
}

/// What a list must be like.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Items {
    /// How many there are.
    pub(crate) count: Option<usize>,
    /// How many there are at least.
    pub(crate) at_least: Option<usize>,
    /// All of them, in order.
    pub(crate) like: Option<Expected>,
    /// For each of these there is one.
    pub(crate) with: Vec<Value>,
    /// For none of these is there one.
    pub(crate) without: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LookAtLog {
    pub(crate) topic: String,
    #[serde(flatten)]
    pub(crate) items: Items,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LookAtRequests {
    /// Only requests whose path begins so.
    #[serde(default)]
    pub(crate) path: Option<String>,
    #[serde(flatten)]
    pub(crate) items: Items,
}

#[derive(Debug, Deserialize)]
pub(crate) struct LookAtObjects {
    /// The bucket: a folder of the case's lake, or `s3` for the bucket of the S3 server.
    pub(crate) bucket: String,
    #[serde(default)]
    pub(crate) prefix: String,
    /// What all their lines together must be like.
    #[serde(flatten)]
    pub(crate) items: Items,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    pub(crate) arguments: Vec<String>,
    #[serde(default)]
    pub(crate) code: i32,
    #[serde(default)]
    pub(crate) has: Vec<String>,
    #[serde(default)]
    pub(crate) lacks: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mentions {
    pub(crate) has: Vec<String>,
    pub(crate) lacks: Vec<String>,
}
