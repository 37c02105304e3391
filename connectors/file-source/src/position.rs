//! Where a file is read on: `{"filename": …}` and `{"position": …}`, as Kafka's connector stores it, so that positions carry over.

use serde_json::{Value, json};
use towpath_model::{Checkpoint, ConnectorError};

/// The field of the source partition.
pub const FILENAME: &str = "filename";
const POSITION: &str = "position";

/// A position of a file.
pub fn checkpoint(file: &str, position: u64) -> Checkpoint {
    Checkpoint {
        partition: json!({ FILENAME: file }).to_string(),
        offset: Some(json!({ POSITION: position }).to_string()),
    }
}

/// Where this file is read on; at its start where nothing is stored.
///
/// # Errors
/// When what is stored of it is no position.
pub fn at(file: &str, stored: &[Checkpoint]) -> Result<u64, ConnectorError> {
    for checkpoint in stored {
        let partition: Value = serde_json::from_str(&checkpoint.partition).unwrap_or(Value::Null);
        if let (Some(offset), true) = (&checkpoint.offset, partition.get(FILENAME) == Some(&Value::from(file))) {
            return position(&serde_json::from_str(offset).unwrap_or(Value::Null));
        }
    }
    Ok(0)
}

/// Whether positions that an operator wants can be those of a file.
///
/// # Errors
/// With Kafka's words for what is wrong.
pub fn check(offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
    for checkpoint in offsets {
        let Some(offset) = &checkpoint.offset else { continue };
        position(&serde_json::from_str(offset).unwrap_or(Value::Null))?;
        match serde_json::from_str(&checkpoint.partition).unwrap_or(Value::Null) {
            Value::Null => return Err(ConnectorError::fatal("Partition objects cannot be null")),
            partition if partition.get(FILENAME).is_none() => {
                return Err(ConnectorError::fatal(format!("Partition objects should contain the key '{FILENAME}'")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn position(offset: &Value) -> Result<u64, ConnectorError> {
    let refused = |what: &str| Err(ConnectorError::fatal(what.replace("{}", POSITION)));
    match offset.get(POSITION) {
        None => refused("Offset objects should either be null or contain the key '{}'"),
        Some(position) => match (position.as_u64(), position.as_i64()) {
            (Some(position), _) => Ok(position),
            (None, Some(_)) => refused("The value for the '{}' key in the offset should be a non-negative value"),
            (None, None) => refused("The value for the '{}' key in the offset is expected to be a Long value"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_again_for_its_file_alone() {
        let stored = [checkpoint("/a", 7), checkpoint("/b", 9)];
        assert_eq!(at("/b", &stored).expect("stored"), 9);
        assert_eq!(at("/c", &stored).expect("nothing stored"), 0);
        assert!(at("/a", &[Checkpoint { offset: Some("{}".to_owned()), ..checkpoint("/a", 7) }]).is_err());
    }

    #[test]
    fn an_operator_is_told_what_is_no_position() {
        let refused = |partition: &str, offset: &str| {
            let checkpoint = Checkpoint { partition: partition.to_owned(), offset: Some(offset.to_owned()) };
            check(&[checkpoint]).expect_err("refused").to_string()
        };
        let file = r#"{"filename":"/a"}"#;
        assert!(refused(file, r#"{"place":1}"#).contains("contain the key 'position'"));
        assert!(refused(file, r#"{"position":"1"}"#).contains("expected to be a Long"));
        assert!(refused(file, r#"{"position":-1}"#).contains("non-negative"));
        assert!(refused("null", r#"{"position":1}"#).contains("cannot be null"));
        assert!(refused(r#"{"file":"/a"}"#, r#"{"position":1}"#).contains("contain the key 'filename'"));
        check(&[Checkpoint { partition: file.to_owned(), offset: None }]).expect("a reset");
    }
}
