//! Whether positions that an operator wants are ones that could be ours.

use towpath_model::Checkpoint;

use crate::offset::{Offset, TableProgress};

/// Whether positions that an operator wants are ones that could be ours.
///
/// # Errors
/// When one cannot be; the text says why.
pub fn offsets(offsets: &[Checkpoint]) -> Result<(), String> {
    for checkpoint in offsets {
        let partition: serde_json::Value = serde_json::from_str(&checkpoint.partition).unwrap_or_default();
        if !partition.get("server").is_some_and(serde_json::Value::is_string) {
            return Err(format!(
                "{} is no source partition; it is {{\"server\": \"<topic.prefix>\"}}",
                checkpoint.partition
            ));
        }
        let Some(offset) = &checkpoint.offset else { continue };
        if partition.get("table").is_some() {
            TableProgress::parse(offset).ok_or("the progress of a table has `through`, `file` and `xmin`")?;
        } else {
            Offset::parse(offset).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
