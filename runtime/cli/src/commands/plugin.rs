//! `towpath plugin inspect NAME|FILE`: what a plugin says of itself and what it may reach.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use towpath_model::{Capability, ConfigKey, Endpoint, Plugin, Plugins as _};

use crate::failure::{Failure, Result};
use crate::output::{print, print_json};
use crate::plugins;

/// Look at plugins.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the plugins that are embedded or in the plugins folder.
    List {
        #[command(flatten)]
        plugins: plugins::Options,
    },
    /// Show a plugin's version, digest, capabilities, endpoints and configuration keys.
    Inspect {
        /// The plugin's name, or a .wasm file.
        #[arg(value_name = "NAME|FILE")]
        plugin: String,
        /// Print one JSON object.
        #[arg(long, env = "TOWPATH_JSON")]
        json: bool,
        #[command(flatten)]
        plugins: plugins::Options,
    },
}

#[allow(clippy::unused_async, reason = "commands are run as futures")]
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::List { plugins } => {
            let found = plugins::open_to_check(&plugins, &PathBuf::from("."))?.all();
            print(found.iter().map(|plugin| {
                let spec = plugin.spec();
                format!("{}@{}  {}  {}", spec.name, spec.version, kind(plugin.as_ref()), spec.doc)
            }))
        }
        Command::Inspect { plugin, json, plugins } => {
            let found = plugins::open_to_check(&plugins, &PathBuf::from("."))?;
            let found = found.find(&class(&plugin)).map_err(Failure::input)?;
            let found = found.as_ref();
            if json {
                print_json(&json!({ "digest": found.digest(), "spec": found.spec() }))
            } else {
                print(describe(found))
            }
        }
    }
}

/// A file is a class of its own, written with a folder ahead as in the YAML.
fn class(plugin: &str) -> String {
    let is_bare_file = plugin.ends_with(".wasm") && !plugin.contains('/');
    if is_bare_file { format!("./{plugin}") } else { plugin.to_owned() }
}

fn describe(plugin: &dyn Plugin) -> Vec<String> {
    let spec = plugin.spec();
    let capabilities: Vec<&str> = spec.capabilities.iter().map(|capability| word(*capability)).collect();
    let capabilities = if capabilities.is_empty() { "none".to_owned() } else { capabilities.join(", ") };
    let mut lines = vec![
        format!("{}@{}  {}", spec.name, spec.version, kind(plugin)),
        format!("  {}", spec.doc),
        format!("  digest        {}", plugin.digest()),
        format!("  capabilities  {capabilities}"),
    ];
    let endpoints = spec.keys.iter().filter(|key| key.endpoint.is_some());
    lines.extend(endpoints.map(|key| format!("  may reach     what {} names{}", key.name, port_words(key))));
    lines.push("  configuration".to_owned());
    spec.keys.iter().for_each(|key| describe_key(key, &mut lines));
    lines
}

fn describe_key(key: &ConfigKey, lines: &mut Vec<String>) {
    let default = match (&key.default, key.required()) {
        (Some(default), _) => format!(" = {default}"),
        (None, true) => " (required)".to_owned(),
        (None, false) => String::new(),
    };
    let secret = if key.secret { ", secret" } else { "" };
    let value_type = format!("{:?}", key.value_type).to_lowercase();
    lines.push(format!("    {}{default}  [{value_type}{secret}]", key.name));
    lines.push(format!("        {}", key.doc));
    if !key.valid_values.is_empty() {
        lines.push(format!("        one of: {}", key.valid_values.join(", ")));
    }
    if !key.aliases.is_empty() {
        lines.push(format!("        also accepted as: {}", key.aliases.join(", ")));
    }
}

fn port_words(key: &ConfigKey) -> String {
    match &key.endpoint {
        Some(Endpoint::Host { port_key, default_port }) => {
            format!(", at the port that {port_key} names ({default_port})")
        }
        Some(Endpoint::Url | Endpoint::Store | Endpoint::File) | None => String::new(),
    }
}

fn kind(plugin: &dyn Plugin) -> &'static str {
    match plugin.spec().kind {
        towpath_model::ConnectorKind::Source => "source",
        towpath_model::ConnectorKind::Sink => "sink",
        towpath_model::ConnectorKind::Transform => "transform",
    }
}

fn word(capability: Capability) -> &'static str {
    match capability {
        Capability::Http => "http",
        Capability::Streams => "streams",
        Capability::ObjectStore => "object store",
        Capability::Scratch => "scratch files",
        Capability::Files => "local files",
    }
}
