//! Changes of documents in JSON: somewhere in a schema that is one.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Map, Value};

/// Changes one of the parts that `is_part` picks, at any depth.
pub(super) fn somewhere(
    random: &mut StdRng,
    document: &mut Value,
    is_part: fn(&Value) -> bool,
    change: fn(&mut StdRng, &mut Value),
) {
    let count = parts(document, is_part);
    if count > 0 {
        let mut before = random.random_range(0..count);
        reach(document, is_part, &mut before, &mut |part| change(random, part));
    }
}

fn parts(value: &Value, is_part: fn(&Value) -> bool) -> usize {
    let inner: usize = match value {
        Value::Array(values) => values.iter().map(|value| parts(value, is_part)).sum(),
        Value::Object(entries) => entries.values().map(|value| parts(value, is_part)).sum(),
        _ => 0,
    };
    inner + usize::from(is_part(value))
}

/// Calls `change` with the part that has so many before it.
fn reach(
    value: &mut Value,
    is_part: fn(&Value) -> bool,
    before: &mut usize,
    change: &mut dyn FnMut(&mut Value),
) -> bool {
    if is_part(value) {
        if *before == 0 {
            change(value);
            return true;
        }
        *before -= 1;
    }
    match value {
        Value::Array(values) => values.iter_mut().any(|value| reach(value, is_part, before, change)),
        Value::Object(entries) => entries.values_mut().any(|value| reach(value, is_part, before, change)),
        _ => false,
    }
}

/// The entries of an object; of what is none, nothing that stays.
pub(super) fn entries(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it is an object by now")
}

/// Takes one out of a list, puts one in, or gives them another order.
pub(super) fn list(random: &mut StdRng, list: &mut Vec<Value>, more: impl FnOnce(&mut StdRng) -> Value) {
    match random.random_range(0..3) {
        0 if !list.is_empty() => {
            let index = random.random_range(0..list.len());
            list.remove(index);
        }
        1 if list.len() > 1 => list.rotate_left(1),
        _ => {
            let index = random.random_range(0..=list.len());
            let more = more(random);
            list.insert(index, more);
        }
    }
}
