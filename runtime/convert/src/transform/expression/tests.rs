//! Expressions on records without and with schemas.

use crate::transform::tests::chained;

const ROWS: [(&str, &[&str]); 4] = [
    (r#"{"op":"u","after":{"id":1,"price":2.5}}"#, &[]),
    (r#"{"op":"c","after":{"id":20,"price":1}}"#, &["audit"]),
    ("null", &[]),
    (r#"{"op":"d","after":null}"#, &[]),
];
const FILTER: &str = "io.debezium.transforms.Filter";

fn kept(settings: &[(&str, &str)]) -> Vec<String> {
    let base = [("transforms", "f"), ("transforms.f.type", FILTER), ("transforms.f.language", "cel")];
    let all: Vec<_> = base.into_iter().chain(settings.iter().copied()).collect();
    chained(&all, &ROWS)
}

fn offsets(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect()
}

#[test]
fn records_are_kept_where_the_condition_holds() {
    for (condition, expected) in [
        ("value.op == 'u' || value.op == 'c' && value.after.id > 10", vec!["orders@0", "orders@1", "orders@2", "2"]),
        ("has(header.audit)", vec!["orders@1", "orders@2"]),
        ("topic.startsWith('ord') && value.op in ['d']", vec!["orders@2", "orders@3"]),
        ("value.after != null", vec!["orders@0", "orders@1", "orders@2"]),
        ("valueSchema == null", vec!["orders@0", "orders@1", "orders@2", "orders@3"]),
    ] {
        let lines = kept(&[("transforms.f.condition", condition)]);
        let kept: Vec<_> = offsets(&lines).into_iter().filter(|offset| offset.starts_with("orders")).collect();
        let expected: Vec<_> = expected.into_iter().filter(|offset| offset.starts_with("orders")).collect();
        assert_eq!(kept, expected, "{condition}: {lines:?}");
    }
}

#[test]
fn nulls_and_other_topics_are_handled_as_told() {
    let dropped = kept(&[("transforms.f.condition", "true"), ("transforms.f.null.handling.mode", "drop")]);
    assert_eq!(offsets(&dropped), ["orders@0", "orders@1", "orders@3", "1"]);
    let evaluated =
        kept(&[("transforms.f.condition", "value == null"), ("transforms.f.null.handling.mode", "evaluate")]);
    assert_eq!(offsets(&evaluated), ["orders@2", "3"]);
    let others = kept(&[("transforms.f.condition", "false"), ("transforms.f.topic.regex", "ord")]);
    assert_eq!(others.len(), 4);
}

#[test]
fn what_cannot_be_evaluated_fails_alone_and_tells_no_values() {
    let lines = kept(&[("transforms.f.condition", "value.after.id > 10")]);
    assert_eq!(offsets(&lines), ["orders@1", "orders@2", "3", "1"], "{lines:?}");
    assert!(lines[2].starts_with("3 failed: the expression cannot be evaluated: "), "{lines:?}");
    let lines = kept(&[("transforms.f.condition", "value.op")]);
    assert!(lines.iter().any(|line| line == "0 failed: the condition gives string and no bool"), "{lines:?}");
}

#[test]
fn topics_are_what_the_expression_gives() {
    let lines = chained(
        &[
            ("transforms", "r"),
            ("transforms.r.type", "io.debezium.transforms.ContentBasedRouter"),
            ("transforms.r.language", "cel"),
            ("transforms.r.topic.expression", "value.op == 'u' ? topic + '-updates' : null"),
        ],
        &ROWS,
    );
    assert_eq!(offsets(&lines), ["orders-updates@0", "orders@1", "orders@2", "orders@3"]);
}

#[test]
fn expressions_for_engines_that_are_not_here_are_refused_with_advice() {
    for language in ["jsr223.groovy", "jsr223.graal.js", "wasm.chicory", "lua"] {
        let config = [
            ("transforms", "f"),
            ("transforms.f.type", FILTER),
            ("transforms.f.language", language),
            ("transforms.f.condition", "value.op == 'u'"),
        ];
        let error = crate::SourcePath::new(
            &config.into_iter().collect(),
            std::collections::HashMap::new(),
            &crate::Unconnected,
        );
        let error = error.err().expect(language);
        assert_eq!((error.code, error.key.as_str()), ("convert.expression_language", "transforms.f.language"));
        assert!(error.reason.contains("language: cel") && error.reason.contains(language), "{}", error.reason);
    }
}
