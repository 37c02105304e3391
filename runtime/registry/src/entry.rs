//! The records of `_schemas`: JSON keys and values as Confluent's registry writes them.
//!
//! | key | value |
//! |---|---|
//! | `{"keytype":"SCHEMA","subject":s,"version":n,"magic":1}` | `{"subject","version","id","schemaType"?,"references"?,"metadata"?,"ruleSet"?,"schema","deleted"}`; none: deleted for good |
//! | `{"keytype":"DELETE_SUBJECT","subject":s,"magic":0}` | `{"subject","version"}`: all versions up to this one are deleted |
//! | `{"keytype":"CLEAR_SUBJECT","subject":s,"magic":0}` | `{"subject"}`: deleted versions are gone for good |
//! | `{"keytype":"CONFIG","subject":s or null,"magic":0}` | `{"compatibilityLevel"?,"normalize"?}` |
//! | `{"keytype":"MODE","subject":s or null,"magic":0}` | `{"mode"}` |
//! | `{"keytype":"NOOP","magic":0}` | none |
//!
//! Keys of other kinds, which newer registries write, are passed over.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use towpath_convert::definition::{Definition, Level, Reference, SchemaType};

/// A version of a subject as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    pub(crate) subject: String,
    pub(crate) version: i32,
    pub(crate) id: i32,
    #[serde(default, skip_serializing_if = "SchemaType::is_default")]
    pub(crate) schema_type: SchemaType,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) references: Vec<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule_set: Option<Value>,
    pub(crate) schema: String,
    #[serde(default)]
    pub(crate) deleted: bool,
}

impl Version {
    /// The schema by itself.
    pub(crate) fn definition(&self) -> Definition {
        Definition {
            schema_type: self.schema_type,
            text: self.schema.as_str().into(),
            references: self.references.clone(),
        }
    }
}

/// What was set for a subject, or for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) normalize: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compatibility_level: Option<Level>,
}

/// What may be done with a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Mode {
    #[default]
    ReadWrite,
    #[serde(alias = "READONLY_OVERRIDE")]
    ReadOnly,
    /// Schemas come with the ids and versions that they had elsewhere, and are not checked.
    Import,
}

impl Mode {
    /// The mode of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.to_uppercase().into()).ok()
    }
}

/// One change. `subject` is none for what concerns all.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Schema(Version),
    SchemaGone { subject: String, version: i32 },
    SubjectDeleted { subject: String, version: i32 },
    SubjectCleared { subject: String },
    Settings { subject: Option<String>, settings: Option<Settings> },
    Mode { subject: Option<String>, mode: Option<Mode> },
}

#[derive(Deserialize)]
struct Key {
    keytype: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    version: i32,
}

impl Entry {
    /// Key and value in the topic.
    pub(crate) fn record(&self) -> (String, Option<String>) {
        let key = |kind: &str, subject: &Option<String>| json!({"keytype": kind, "subject": subject, "magic": 0});
        let schema_key = |subject: &str, version: i32| json!({"keytype": "SCHEMA", "subject": subject, "version": version, "magic": 1});
        let (key, value) = match self {
            Self::Schema(version) => (schema_key(&version.subject, version.version), Some(json!(version))),
            Self::SchemaGone { subject, version } => (schema_key(subject, *version), None),
            Self::SubjectDeleted { subject, version } => {
                let value = json!({"subject": subject, "version": version});
                (key("DELETE_SUBJECT", &Some(subject.clone())), Some(value))
            }
            Self::SubjectCleared { subject } => {
                (key("CLEAR_SUBJECT", &Some(subject.clone())), Some(json!({"subject": subject})))
            }
            Self::Settings { subject, settings } => (key("CONFIG", subject), settings.as_ref().map(|set| json!(set))),
            Self::Mode { subject, mode } => (key("MODE", subject), mode.map(|mode| json!({ "mode": mode }))),
        };
        (key.to_string(), value.map(|value| value.to_string()))
    }

    /// Reads a record; none where it is of a kind that says nothing here.
    ///
    /// # Errors
    /// When the JSON is not that of its kind.
    pub(crate) fn read(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, serde_json::Error> {
        #[derive(Deserialize)]
        struct UpTo {
            version: i32,
        }
        #[derive(Deserialize)]
        struct ModeValue {
            mode: Mode,
        }
        let Key { keytype, subject, version } = serde_json::from_slice(key)?;
        let entry = match (keytype.as_str(), subject) {
            ("SCHEMA", Some(subject)) => match value {
                Some(value) => Self::Schema(serde_json::from_slice(value)?),
                None => Self::SchemaGone { subject, version },
            },
            ("DELETE_SUBJECT", Some(subject)) => match value {
                Some(value) => {
                    Self::SubjectDeleted { subject, version: serde_json::from_slice::<UpTo>(value)?.version }
                }
                None => return Ok(None),
            },
            ("CLEAR_SUBJECT", Some(subject)) => Self::SubjectCleared { subject },
            ("CONFIG", subject) => Self::Settings { subject, settings: value.map(serde_json::from_slice).transpose()? },
            ("MODE", subject) => {
                let mode = value.map(serde_json::from_slice::<ModeValue>).transpose()?;
                Self::Mode { subject, mode: mode.map(|value| value.mode) }
            }
            _ => return Ok(None),
        };
        Ok(Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_as_confluents_registry_writes_them() {
        let version = Version {
            subject: "s".into(),
            version: 2,
            id: 7,
            schema_type: SchemaType::Avro,
            references: vec![Reference { name: "n.R".into(), subject: "r".into(), version: 1 }],
            metadata: None,
            rule_set: None,
            schema: "\"int\"".into(),
            deleted: false,
        };
        let check = |entry: Entry, key: &str, value: Option<&str>| {
            let (written_key, written_value) = entry.record();
            assert_eq!((written_key.as_str(), written_value.as_deref()), (key, value));
            let read = Entry::read(written_key.as_bytes(), written_value.as_deref().map(str::as_bytes));
            assert_eq!(read.expect("well formed"), Some(entry));
        };
        check(
            Entry::Schema(version),
            r#"{"keytype":"SCHEMA","subject":"s","version":2,"magic":1}"#,
            Some(
                r#"{"subject":"s","version":2,"id":7,"references":[{"name":"n.R","subject":"r","version":1}],"schema":"\"int\"","deleted":false}"#,
            ),
        );
        check(
            Entry::SchemaGone { subject: "s".into(), version: 2 },
            r#"{"keytype":"SCHEMA","subject":"s","version":2,"magic":1}"#,
            None,
        );
        check(
            Entry::SubjectDeleted { subject: "s".into(), version: 2 },
            r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
            Some(r#"{"subject":"s","version":2}"#),
        );
        let full = Settings { compatibility_level: Some(Level::FullTransitive), normalize: None };
        check(
            Entry::Settings { subject: None, settings: Some(full) },
            r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
            Some(r#"{"compatibilityLevel":"FULL_TRANSITIVE"}"#),
        );
        check(
            Entry::Mode { subject: Some("s".into()), mode: Some(Mode::Import) },
            r#"{"keytype":"MODE","subject":"s","magic":0}"#,
            Some(r#"{"mode":"IMPORT"}"#),
        );
    }

    #[test]
    fn what_other_registries_write_beyond_is_passed_over() {
        assert_eq!(Entry::read(br#"{"keytype":"NOOP","magic":0}"#, None).expect("well formed"), None);
        let context = Entry::read(br#"{"keytype":"CONTEXT","tenant":"default","context":".a","magic":0}"#, Some(b"{}"));
        assert_eq!(context.expect("well formed"), None);
        let newer = br#"{"subject":"s","version":1,"id":1,"md5":"x","schema":"\"int\"","deleted":false,"ts":1}"#;
        let read = Entry::read(br#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#, Some(newer));
        assert!(matches!(read, Ok(Some(Entry::Schema(Version { id: 1, .. })))));
        assert!(Entry::read(b"not JSON", None).is_err());
    }
}
