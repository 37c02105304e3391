//! Is a value of its key's type? In the words that Kafka's ConfigDef uses, which clients and runbooks match on.

use towpath_model::{ConfigKey, ValueType};

use crate::finding::without_passwords;
use crate::words::closest;

/// What is wrong with a value.
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
}

/// What is wrong with a value, if anything is.
pub(super) fn fault(key: &ConfigKey, value: &str) -> Option<Fault> {
    let is_secret = key.secret || key.value_type == ValueType::Password;
    let shown = if is_secret { "[hidden]".to_owned() } else { without_passwords(value) };
    let fault = |reason: String, suggestion: Option<String>| {
        let message = format!("Invalid value {shown} for configuration {}: {reason}", key.name);
        Some(Fault { code: "config.invalid_value", message, suggestion })
    };
    let trimmed = value.trim();
    let number = |name: &str, min: i64, max: i64| match trimmed.parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => None,
        _ => fault(format!("Not a number of type {name}"), unit_hint(trimmed)),
    };
    let wrong_type = match key.value_type {
        ValueType::Boolean if !trimmed.eq_ignore_ascii_case("true") && !trimmed.eq_ignore_ascii_case("false") => {
            let hint = matches!(trimmed.to_lowercase().as_str(), "yes" | "no" | "on" | "off")
                .then(|| "Write true or false.".to_owned());
            fault("Expected value to be either true or false".into(), hint)
        }
        ValueType::Int => number("INT", i32::MIN.into(), i32::MAX.into()),
        ValueType::Short => number("SHORT", i16::MIN.into(), i16::MAX.into()),
        ValueType::Long => number("LONG", i64::MIN, i64::MAX),
        ValueType::Double if trimmed.parse::<f64>().is_err() => fault("Not a number of type DOUBLE".into(), None),
        _ => None,
    };
    if wrong_type.is_some() {
        return wrong_type;
    }
    match key.name.as_str() {
        "tasks.max" if trimmed.parse().is_ok_and(|tasks: i64| tasks < 1) => {
            return fault("Value must be at least 1".into(), None);
        }
        "name" if value.is_empty() => return fault("String may not be empty".into(), None),
        "name" if value.chars().any(char::is_control) => {
            return fault("String may not contain control characters".into(), None);
        }
        _ => {}
    }
    if key.valid_values.is_empty() {
        return None;
    }
    let allowed = |item: &str| key.valid_values.iter().any(|valid| valid.eq_ignore_ascii_case(item));
    let wrong = match key.value_type {
        ValueType::List => trimmed.split(',').map(str::trim).find(|item| !item.is_empty() && !allowed(item)),
        _ => Some(trimmed).filter(|item| !allowed(item)),
    }?;
    let meant =
        closest(wrong, key.valid_values.iter().map(String::as_str)).map(|meant| format!("Did you mean `{meant}`?"));
    fault(format!("String must be one of: {}", key.valid_values.join(", ")), meant)
}

/// Numbers are written without units.
fn unit_hint(value: &str) -> Option<String> {
    let digits = value.trim_end_matches(|character: char| character.is_alphabetic() || character == ' ');
    let has_unit = digits.len() < value.len() && digits.parse::<f64>().is_ok();
    has_unit.then(|| {
        format!("Numbers have no unit; the key's name or documentation says which is meant. Write {digits} in it.")
    })
}
