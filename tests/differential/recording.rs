//! A workload with what Debezium made of it, kept in a folder.
//!
//! ```text
//! recording.json      the profile, and the command that made the recording
//! script.jsonl.gz     the workload, one step a line
//! schemas.jsonl.gz    Connect schemas, each once
//! records.jsonl.gz    [topic, phase, key, value, headers] a line; {"#":7} stands for the schema in line 7
//! ```

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::json::Node;
use crate::record::{Record, Topics};
use crate::script::Script;

/// The prefix of all topics of a recording.
pub(crate) const PREFIX: &str = "diff";

const SCHEMA: &str = "#";

pub(crate) struct Recording {
    pub(crate) profile: String,
    pub(crate) command: String,
    pub(crate) script: Script,
    pub(crate) topics: Topics,
}

#[derive(Deserialize, Serialize)]
struct Head {
    profile: String,
    command: String,
}

impl Recording {
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        let head = Head { profile: self.profile.clone(), command: self.command.clone() };
        std::fs::write(folder.join("recording.json"), serde_json::to_string_pretty(&head)? + "\n")?;
        write(folder, "script", &self.script.to_text()?)?;
        let (mut schemas, mut lines) = (Vec::new(), String::new());
        for (name, topic) in &self.topics {
            let snapshot = topic.snapshot.iter().map(|record| ("snapshot", record));
            for (phase, record) in snapshot.chain(topic.stream.iter().map(|record| ("stream", record))) {
                let key = shortened(&record.key, &mut schemas);
                let value = shortened(&record.value, &mut schemas);
                writeln!(lines, "[{},\"{phase}\",{key},{value},{}]", serde_json::to_string(name)?, record.headers)?;
            }
        }
        let mut text = String::new();
        for schema in &schemas {
            writeln!(text, "{schema}")?;
        }
        write(folder, "schemas", &text)?;
        write(folder, "records", &lines)
    }

    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let head = std::fs::read_to_string(folder.join("recording.json"))
            .with_context(|| format!("reading the recording in {}", folder.display()))?;
        let Head { profile, command } = serde_json::from_str(&head)?;
        let schemas = read(folder, "schemas")?.lines().map(Node::parse).collect::<Result<Vec<_>>>()?;
        let mut topics = Topics::new();
        for line in read(folder, "records")?.lines() {
            let Node::Array(parts) = Node::parse(line)? else { bail!("no record: {line}") };
            let [name, phase, key, value, headers] = parts.try_into().map_err(|_| anyhow!("no record: {line}"))?;
            let record = Record { key: whole(key, &schemas)?, value: whole(value, &schemas)?, headers };
            let topic = topics.entry(name.text().context("no topic")?).or_default();
            match phase.text().as_deref() {
                Some("snapshot") => topic.snapshot.push(record),
                Some("stream") => topic.stream.push(record),
                _ => bail!("no phase: {line}"),
            }
        }
        Ok(Self { profile, command, script: Script::parse(&read(folder, "script")?)?, topics })
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let file = File::create(folder.join(format!("{name}.jsonl.gz")))?;
    let mut packed = GzEncoder::new(file, Compression::best());
    packed.write_all(text.as_bytes())?;
    packed.finish().map(drop).with_context(|| format!("writing {name} in {}", folder.display()))
}

fn read(folder: &Path, name: &str) -> Result<String> {
    let mut text = String::new();
    let file = File::open(folder.join(format!("{name}.jsonl.gz")));
    let unpacked = file.and_then(|file| GzDecoder::new(file).read_to_string(&mut text));
    unpacked.with_context(|| format!("reading {name} in {}", folder.display()))?;
    Ok(text)
}

/// A payload with the number of its schema in the schema's place.
fn shortened(payload: &Node, schemas: &mut Vec<Node>) -> Node {
    let mut payload = payload.clone();
    if payload.get("payload").is_some()
        && let Some(schema) = payload.get_mut("schema")
    {
        let known = schemas.iter().position(|known| known == schema);
        let number = known.unwrap_or_else(|| {
            schemas.push(schema.clone());
            schemas.len() - 1
        });
        *schema = Node::Object(vec![(SCHEMA.to_owned(), Node::Scalar((number + 1).to_string()))]);
    }
    payload
}

fn whole(mut payload: Node, schemas: &[Node]) -> Result<Node> {
    if let Some(schema) = payload.get_mut("schema")
        && let Some(Node::Scalar(number)) = schema.get(SCHEMA)
    {
        let number: usize = number.parse()?;
        let found = number.checked_sub(1).and_then(|index| schemas.get(index));
        *schema = found.with_context(|| format!("there is no schema {number}"))?.clone();
    }
    Ok(payload)
}
