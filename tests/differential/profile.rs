//! Under which configuration both sides run. `profiles.yaml` is the list.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use towpath_tests::{PASSWORD, Postgres, USER};

/// The publication that both sides read.
pub(crate) const PUBLICATION: &str = "differential";

/// A configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Profile {
    /// Whether every table has the replica identity FULL.
    pub(crate) full: bool,
    /// Whether rows of partitions are published as rows of their root.
    root: bool,
    /// Whether records hold rows without an envelope.
    pub(crate) unwrapped: bool,
    config: BTreeMap<String, String>,
}

impl Profile {
    pub(crate) fn all() -> Result<BTreeMap<String, Self>> {
        serde_saphyr::from_str(include_str!("profiles.yaml")).context("reading profiles.yaml")
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let mut all = Self::all()?;
        all.remove(name).ok_or_else(|| {
            anyhow!("there is no profile {name}, only {}", all.keys().cloned().collect::<Vec<_>>().join(", "))
        })
    }

    /// The SQL that makes the publication on a server of this version.
    pub(crate) fn publish(&self, version: u32) -> String {
        // From 18 on a table with the identity FULL can only be changed when all its columns are published.
        let generated = if version >= 180_000 { ", publish_generated_columns = stored" } else { "" };
        format!(
            "create publication {PUBLICATION} for all tables with (publish_via_partition_root = {}{generated})",
            self.root
        )
    }

    /// The configuration of a connector.
    pub(crate) fn connector(
        &self,
        postgres: &Postgres,
        database: &str,
        prefix: &str,
        slot: &str,
    ) -> BTreeMap<String, String> {
        let port = postgres.port().to_string();
        let mut config: BTreeMap<String, String> = [
            ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
            ("tasks.max", "1"),
            ("database.hostname", "127.0.0.1"),
            ("database.port", &port),
            ("database.user", USER),
            ("database.password", PASSWORD),
            ("database.dbname", database),
            ("topic.prefix", prefix),
            ("plugin.name", "pgoutput"),
            ("slot.name", slot),
            ("publication.name", PUBLICATION),
            ("publication.autocreate.mode", "disabled"),
            ("skipped.operations", "none"),
            ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("key.converter.schemas.enable", "true"),
            ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
            ("value.converter.schemas.enable", "true"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        config.extend(self.config.clone());
        config
    }
}
