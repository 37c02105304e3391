//! The nouns of Towpath, and the traits through which layers meet that must not know each other.
//!
//! No IO, no tokio, no global state: this crate also compiles for WASM guests. Records travel as [`Batch`], in columns;
//! structured payloads are data in Avro's binary encoding ([`datum`]) under a Connect [`Schema`]. `host` fulfils
//! [`Plugins`], [`Source`], [`Sink`] and [`Transform`]; `worker` uses them and never sees WASM.

mod batch;
mod clock;
mod codes;
mod config;
mod connector;
mod crash;
pub mod datum;
mod error;
mod name;
mod redactor;
mod schema;
mod spec;
mod state;

pub use batch::{
    Batch, BatchBuilder, Columns, CommonHeader, Encoding, Form, Headers, Malformed, Payload, Record, Records, Run,
};
pub use clock::{Clock, ManualClock, SystemClock};
pub use codes::{Blame, Code, codes, codes_page, find_code};
pub use config::{Config, Secret};
pub use connector::{
    Checkpoint, Flushed, Interrupt, LateError, Metric, Plugin, Plugins, Polled, Position, Progress, Reading, Sink,
    Source, TaskContext, Telemetry, Transform, Transformed, UnknownPlugin,
};
pub use crash::crash_point;
pub use error::{Coded, ConnectorError, Fault, Gravity, Kind, Reason, RecordError};
pub use name::{ConnectorName, TaskId, TopicPartition};
pub use redactor::{Redactor, passwords};
pub use schema::{Field, Schema, SchemaError, Type};
pub use spec::{
    Capability, ConfigKey, ConnectorKind, Credential, Endpoint, Importance, Scheme, Spec, ValueType, Width,
};
pub use state::{ConnectorState, Health, HealthLevel, TargetState, TaskState};
