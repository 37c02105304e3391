//! Positions as a guest gave them. They become records of the log, where a text that is not what it should be would spoil the
//! records around it, so each is checked where it arrives.

use serde_json::value::RawValue;

use crate::bindings::imports::towpath::connect::types;

/// Bytes of a source partition or offset.
const POSITION_BYTES_MAX: usize = 64 << 10;
/// Positions in one answer.
const POSITIONS_MAX: usize = 4_096;

/// Checks the positions of one answer.
///
/// # Errors
/// In a sentence, when there are too many, or one is no JSON object or too long.
pub(super) fn check_positions(positions: &[types::Checkpoint]) -> Result<(), String> {
    if positions.len() > POSITIONS_MAX {
        return Err(format!("{} positions, {POSITIONS_MAX} are allowed", positions.len()));
    }
    positions.iter().try_for_each(|position| {
        object("partition", &position.partition)?;
        position.offset.as_deref().map_or(Ok(()), |offset| object("offset", offset))
    })
}

fn object(what: &str, text: &str) -> Result<(), String> {
    if text.len() > POSITION_BYTES_MAX {
        return Err(format!("a source {what} of {} bytes, {POSITION_BYTES_MAX} are allowed", text.len()));
    }
    let is_object = text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok();
    if is_object { Ok(()) } else { Err(format!("a source {what} that is no JSON object")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_one_json_object_and_no_more() {
        let position = |partition: &str| [types::Checkpoint { partition: partition.into(), offset: Some("{}".into()) }];
        assert_eq!(check_positions(&position(r#"{"server":"shop"}"#)), Ok(()));
        for text in ["", "1", "[]", "{", r#"{"a":1}],["b",{}"#, r#"{"a":1}{}"#, "no JSON"] {
            check_positions(&position(text)).expect_err(text);
        }
        check_positions(&position(&format!(r#"{{"a":"{}"}}"#, "p".repeat(1 << 20)))).expect_err("too long");
        let many = vec![position("{}")[0].clone(); POSITIONS_MAX + 1];
        check_positions(&many).expect_err("too many");
    }
}
