//! The page that lists transforms and predicates with their keys, made from the code so that it cannot be wrong.

use std::fmt::Write;

use crate::{TransformType, predicates, transforms};

/// The list as a page.
pub fn transforms_page() -> String {
    let mut page = "# Transforms and predicates\n\nWhat may stand under `transforms.<alias>.type` and `predicates.<alias>.type`, besides components, and the keys of each.\n\
        Those of Kafka Connect and Debezium do what they do there: `make originals` runs random records through both. Differences stand\n\
        at the end. This page is made from `runtime/convert/src/transform`.\n\n\
        Every transform, components included, also takes `predicate`, the alias of a predicate under which it is applied, and `negate`.\n\
        Patterns of time are Java's SimpleDateFormat in UTC with English names; two-digit years lie between 1950 and 2049.\n"
        .to_owned();
    for (title, types) in [("Transforms", transforms()), ("Predicates", predicates())] {
        // Writing to a text cannot fail.
        let _ = writeln!(page, "\n## {title}");
        let mut last: Option<TransformType> = None;
        for known in types {
            // One that is there for keys and for values stands once.
            if last.as_ref().is_none_or(|last| last.doc != known.doc) {
                section(&mut page, &known);
            }
            last = Some(known);
        }
    }
    page.push_str(DIFFERENCES);
    page
}

fn section(page: &mut String, known: &TransformType) {
    let full = known.names.last().map(String::as_str).unwrap_or_default();
    let title = known.names.first().map(String::as_str).unwrap_or_default();
    let (title, full) = match title.strip_suffix("$Value") {
        Some(base) => (format!("{base}$Key, {base}$Value"), full.replace("$Value", "$Key` and `…$Value")),
        None => (title.to_owned(), full.to_owned()),
    };
    let _ = write!(page, "\n### {title}\n\n{} Java class: `{full}`.\n", known.doc);
    if known.keys.is_empty() {
        return;
    }
    page.push_str("\n| key | type | default | |\n|---|---|---|---|\n");
    for key in &known.keys {
        let kind = format!("{:?}", key.value_type).to_lowercase();
        let default = match &key.default {
            Some(default) if default.is_empty() => "empty".to_owned(),
            Some(default) => format!("`{default}`"),
            None if key.required() => "required".to_owned(),
            None => String::new(),
        };
        let values = if key.valid_values.is_empty() {
            String::new()
        } else {
            format!(" One of: {}.", key.valid_values.join(", "))
        };
        let _ = writeln!(page, "| `{}` | {kind} | {default} | {}{values} |", key.name, key.doc.replace('|', "\\|"));
    }
}

const DIFFERENCES: &str = "
## What differs from the originals

- A schema-less number keeps the digits it is written with; Connect turns it into 64 bits first.
- Floating-point numbers become texts as in JDK 19 and later, which is the shortest text that reads back as the same number.
- SetSchemaMetadata also renames schemas that are no struct's, and ReplaceField takes a field that has the new name of a renaming already.
- ReplaceField and Flatten fail where two fields of an object without a schema would get one name; Connect keeps one of them by chance.
- A whole value that is cast keeps the name of its schema, as in Connect; its default may be of another type here.
- Regular expressions have no looking ahead or behind, and no references back.
- Weeks (`Y w W F u`) are written and not read by TimestampConverter.
- A replacement that names a group which its expression does not have is refused when the configuration is read.
- ByLogicalTableRouter also takes keys without a schema.
- EventRouter counts updates that it drops as filtered, and writes no log line for each. OpenTelemetry spans are not continued.
- Debezium's Filter and ContentBasedRouter take expressions in CEL (`language: cel`): a script engine of the JVM is not here, and could do
  anything. CEL ends, reaches nothing, and most conditions read the same: `value.op == 'u' && value.after.id > 10`. What may be missing
  is asked for with `has(value.after)`. Expressions for Groovy, JavaScript or WASM engines are refused, never guessed at.
";

#[cfg(test)]
mod tests {
    use super::transforms_page;

    #[test]
    fn the_page_is_what_the_code_says() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../TRANSFORMS.md");
        if std::env::var_os("TOWPATH_UPDATE").is_some() {
            std::fs::write(&path, transforms_page()).expect("written");
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(page == transforms_page(), "runtime/TRANSFORMS.md is out of date: run the test with TOWPATH_UPDATE=1");
    }
}
