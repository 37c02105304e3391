//! The folder and the checker from end to end: what users write, and every word they are told about it.

use std::path::Path;

use towpath_model::{Config, ConfigKey, ConnectorKind, Encoding, Importance, Spec, ValueType, Width};

use crate::{Folder, Reading, TransformWords, Vocabulary, check, examine, framework_keys, normalise};

fn key(name: &str, value_type: ValueType) -> ConfigKey {
    ConfigKey {
        name: name.into(),
        value_type,
        default: None,
        optional: true,
        importance: Importance::High,
        doc: String::new(),
        group: None,
        order: -1,
        width: Width::None,
        display_name: name.into(),
        dependents: Vec::new(),
        valid_values: Vec::new(),
        aliases: Vec::new(),
        secret: false,
        endpoint: None,
    }
}

pub(crate) fn spec(kind: ConnectorKind) -> Spec {
    let keys = match kind {
        ConnectorKind::Source => vec![
            ConfigKey { optional: false, ..key("topic.prefix", ValueType::String) },
            ConfigKey { default: Some("5432".into()), ..key("database.port", ValueType::Int) },
            ConfigKey { secret: true, ..key("database.password", ValueType::Password) },
            key("table.include.list", ValueType::List),
            ConfigKey {
                valid_values: ["initial", "never", "always"].map(str::to_owned).to_vec(),
                ..key("snapshot.mode", ValueType::String)
            },
            ConfigKey {
                valid_values: ["c", "u", "d"].map(str::to_owned).to_vec(),
                ..key("skipped.operations", ValueType::List)
            },
        ],
        _ => vec![ConfigKey {
            optional: false,
            aliases: vec!["http.api.url".into()],
            ..key("http.url", ValueType::String)
        }],
    };
    Spec {
        name: if kind == ConnectorKind::Source { "postgres-cdc" } else { "http-sink" }.into(),
        version: "0.1.0".into(),
        kind,
        doc: String::new(),
        keys,
        open_prefixes: vec!["header.".into()],
        credentials: Vec::new(),
        capabilities: Vec::new(),
        accepts: vec![Encoding::Json],
        defines_transactions: false,
    }
}

fn words() -> Vocabulary {
    Vocabulary {
        converters: ["json", "string", "bytes"].map(str::to_owned).to_vec(),
        header_converters: vec!["simple".into()],
        converter_keys: vec![key("value.converter.schemas.enable", ValueType::Boolean)],
        transforms: vec![TransformWords {
            names: vec!["RegexRouter".into(), "org.apache.kafka.connect.transforms.RegexRouter".into()],
            keys: ["regex", "replacement"]
                .map(|name| ConfigKey { optional: false, ..key(name, ValueType::String) })
                .to_vec(),
            open_prefixes: Vec::new(),
        }],
        predicates: vec![TransformWords {
            names: vec!["HasHeaderKey".into()],
            keys: vec![ConfigKey { optional: false, ..key("name", ValueType::String) }],
            open_prefixes: Vec::new(),
        }],
        connectors: ["postgres-cdc", "http-sink"].map(str::to_owned).to_vec(),
    }
}

fn read(files: &[(&str, &str)]) -> Reading {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let mut reading = Folder::read(folder.path()).expect("read");
    let (source, sink, words) = (spec(ConnectorKind::Source), spec(ConnectorKind::Sink), words());
    reading.check_with(|document| {
        let spec = match document.config.get("connector.class") {
            Some("postgres-cdc") => Some(&source),
            Some("http-sink") => Some(&sink),
            _ => None,
        };
        check(document, spec, &words)
    });
    reading
}

fn configs(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let reading = read(files);
    assert!(!reading.has_errors(), "{}", reading.render());
    let shown = |config: &Config| {
        let own = config.iter().filter(|(key, _)| !matches!(*key, "name" | "connector.class" | "topic.prefix"));
        own.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    reading.documents.iter().map(|document| (document.name.clone(), shown(&document.config))).collect()
}

const CDC: &str = "connector.class: postgres-cdc\ntopic.prefix: shop\n";

#[test]
fn yaml_and_connects_json_are_the_same_flat_map() {
    let yaml = format!(
        "{CDC}database: {{port: 5433, password: \"${{env:PGPASSWORD}}\"}}\ntable.include.list: [public.orders, public.customers]\n\
         topic:\n  creation:\n    default: {{partitions: 0010, ratio: 1.10, compact: no}}\n"
    );
    let json = r#"{"name": "from-json", "config": {"connector.class": "postgres-cdc", "topic.prefix": "shop", "tasks.max": 1, "snapshot.mode": "never"}}"#;
    let flat = r#"{"connector.class": "postgres-cdc", "topic.prefix": "shop", "tasks.max": "1"}"#;
    let several = format!("name: one\n{CDC}---\nname: two\n{CDC}");
    let found = configs(&[
        ("orders.yaml", &yaml),
        ("a.json", json),
        ("flat.json", flat),
        ("several.yml", &several),
        ("notes.txt", "x"),
    ]);
    let expected = [
        ("flat", "tasks.max=1"),
        ("from-json", "snapshot.mode=never tasks.max=1"),
        ("one", ""),
        (
            "orders",
            "database.password=${env:PGPASSWORD} database.port=5433 table.include.list=public.orders,public.customers \
             topic.creation.default.compact=no topic.creation.default.partitions=0010 topic.creation.default.ratio=1.10",
        ),
        ("two", ""),
    ];
    assert_eq!(found, expected.map(|(name, config)| (name.to_owned(), config.to_owned())));
}

#[test]
fn defaults_fill_what_connectors_leave_open_and_need_not_suit_each() {
    let defaults = "tasks.max: 2\ndatabase.port: 7\nhttp.url: http://x\n";
    let found = configs(&[("defaults.yaml", defaults), ("a.yaml", &format!("{CDC}database.port: 8\n"))]);
    assert_eq!(found, [("a".to_owned(), "database.port=8 http.url=http://x tasks.max=2".to_owned())]);
    assert!(read(&[("defaults.yaml", defaults), ("a.yaml", CDC)]).findings.is_empty());
}

/// What is wrong, the files, and the findings in full.
type Wrong = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const WRONG: [Wrong; 23] = [
    (
        "an unknown key",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\ntable:\n  inclde.list: [public.orders]\n")],
        "warning[config.unknown_key]: `table.inclde.list` is no key of postgres-cdc and is ignored
 --> a.yaml:4:3
  |
4 |   inclde.list: [public.orders]
  |   ^^^^^^^^^^^
  = help: Did you mean `table.include.list`?
",
    ),
    (
        "a required key that is misspelt",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefx: shop\n")],
        "error[config.missing_key]: Missing required configuration \"topic.prefix\" which has no default value.
 --> a.yaml:1:1
  |
1 | connector.class: postgres-cdc
  | ^^^^^^^^^^^^^^^
  = help: There is `topic.prefx`; was `topic.prefix` meant?
warning[config.unknown_key]: `topic.prefx` is no key of postgres-cdc and is ignored
 --> a.yaml:2:1
  |
2 | topic.prefx: shop
  | ^^^^^^^^^^^
  = help: Did you mean `topic.prefix`?
",
    ),
    (
        "a number with a unit",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\ndatabase.port: 5432 tcp\n")],
        "error[config.invalid_value]: Invalid value 5432 tcp for configuration database.port: Not a number of type INT
 --> a.yaml:3:1
  |
3 | database.port: 5432 tcp
  | ^^^^^^^^^^^^^
  = help: Numbers have no unit; the key's name or documentation says which is meant. Write 5432 in it.
",
    ),
    (
        "no tasks",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\ntasks.max: 0\n")],
        "error[config.invalid_value]: Invalid value 0 for configuration tasks.max: Value must be at least 1
 --> a.yaml:3:1
  |
3 | tasks.max: 0
  | ^^^^^^^^^
",
    ),
    (
        "a value that is not among the valid ones",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\nsnapshot.mode: intial\nskipped.operations: c,x\n")],
        "error[config.invalid_value]: Invalid value intial for configuration snapshot.mode: String must be one of: initial, never, always
 --> a.yaml:3:1
  |
3 | snapshot.mode: intial
  | ^^^^^^^^^^^^^
  = help: Did you mean `initial`?
error[config.invalid_value]: Invalid value c,x for configuration skipped.operations: String must be one of: c, u, d
 --> a.yaml:4:1
  |
4 | skipped.operations: c,x
  | ^^^^^^^^^^^^^^^^^^
",
    ),
    (
        "a YAML boolean",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\nvalue.converter.schemas.enable: yes\n")],
        "error[config.invalid_value]: Invalid value yes for configuration value.converter.schemas.enable: Expected value to be either true or false
 --> a.yaml:3:1
  |
3 | value.converter.schemas.enable: yes
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: Write true or false.
",
    ),
    (
        "an unknown class",
        &[("a.yaml", "connector.class: postgre-cdc\n")],
        "error[config.unknown_class]: no connector is named postgre-cdc
 --> a.yaml:1:1
  |
1 | connector.class: postgre-cdc
  | ^^^^^^^^^^^^^^^
  = help: Did you mean `postgres-cdc`?
",
    ),
    (
        "no class",
        &[("a.yaml", "topic.prefix: shop\n")],
        "error[config.missing_key]: Missing required configuration \"connector.class\" which has no default value.
 --> a.yaml:1:1
  |
1 | topic.prefix: shop
  | ^^^^^^^^^^^^
",
    ),
    (
        "a sink without topics",
        &[("a.yaml", "connector.class: http-sink\nhttp.url: http://x\ntopic: orders\n")],
        "error[config.topics]: Must configure one of topics or topics.regex
 --> a.yaml:1:1
  |
1 | connector.class: http-sink
  | ^^^^^^^^^^^^^^^
  = help: There is `topic`; was `topics` meant?
warning[config.unknown_key]: `topic` is no key of http-sink and is ignored
 --> a.yaml:3:1
  |
3 | topic: orders
  | ^^^^^
  = help: Did you mean `topics`?
",
    ),
    (
        "topics in two ways and an alias beside its key",
        &[("a.yaml", "connector.class: http-sink\nhttp.url: http://x\nhttp.api.url: http://y\ntopics: a\ntopics.regex: b.*\n")],
        "error[config.duplicate_key]: `http.api.url` is another name of `http.url`, which is set, too
 --> a.yaml:3:1
  |
3 | http.api.url: http://y
  | ^^^^^^^^^^^^
  = help: Keep one of the two.
error[config.topics]: topics and topics.regex are mutually exclusive options, but both are set.
 --> a.yaml:4:1
  |
4 | topics: a
  | ^^^^^^
",
    ),
    (
        "an unknown converter",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\nvalue.converter: jsn\n")],
        "error[config.unknown_converter]: Invalid value jsn for configuration value.converter: Class jsn could not be found.
 --> a.yaml:3:1
  |
3 | value.converter: jsn
  | ^^^^^^^^^^^^^^^
  = help: Did you mean `json`?
",
    ),
    (
        "transforms at fault",
        &[(
            "a.yaml",
            "connector.class: postgres-cdc\ntopic.prefix: shop\ntransforms: route\ntransforms.route.type: RegexRuter\ntransforms.rute.regex: x\n",
        )],
        "error[config.unknown_transform]: Invalid value RegexRuter for configuration transforms.route.type: Class RegexRuter could not be found.
 --> a.yaml:4:1
  |
4 | transforms.route.type: RegexRuter
  | ^^^^^^^^^^^^^^^^^^^^^
  = help: Did you mean `RegexRouter`?
warning[config.unlisted_transform]: the transform rute has settings and is not listed in `transforms`
 --> a.yaml:5:1
  |
5 | transforms.rute.regex: x
  | ^^^^^^^^^^^^^^^^^^^^^
  = help: Did you mean `route`?
",
    ),
    (
        "settings of a transform",
        &[(
            "a.yaml",
            "connector.class: postgres-cdc\ntopic.prefix: shop\ntransforms: r\ntransforms.r:\n  type: RegexRouter\n  regexp: x\n  replacement: y\n  predicate: p\n",
        )],
        "error[config.missing_key]: Missing required configuration \"transforms.r.regex\" which has no default value.
 --> a.yaml:1:1
  |
1 | connector.class: postgres-cdc
  | ^^^^^^^^^^^^^^^
  = help: There is `transforms.r.regexp`; was `transforms.r.regex` meant?
warning[config.unknown_key]: `transforms.r.regexp` is no key of the transform RegexRouter and is ignored
 --> a.yaml:6:3
  |
6 |   regexp: x
  |   ^^^^^^
  = help: Did you mean `transforms.r.regex`?
error[config.unknown_predicate]: `transforms.r.predicate` names the predicate p, which is not listed in `predicates`
 --> a.yaml:8:3
  |
8 |   predicate: p
  |   ^^^^^^^^^
  = help: Add p to `predicates`, and its class as `predicates.p.type`.
",
    ),
    (
        "predicates",
        &[(
            "a.yaml",
            "connector.class: postgres-cdc\ntopic.prefix: shop\ntransforms: r, s\ntransforms.r: {type: RegexRouter, regex: x, replacement: y, predicate: isOrdr}\ntransforms.s: {type: RegexRouter, regex: x, replacement: y, negate: true}\npredicates: isOrder, other\npredicates.isOrder: {type: HasHeaderKey, nam: x}\npredicates.other.type: HasHeaderKy\npredicates.stray.type: HasHeaderKey\n",
        )],
        "error[config.missing_key]: Missing required configuration \"predicates.isOrder.name\" which has no default value.
 --> a.yaml:1:1
  |
1 | connector.class: postgres-cdc
  | ^^^^^^^^^^^^^^^
  = help: There is `predicates.isOrder.nam`; was `predicates.isOrder.name` meant?
error[config.unknown_predicate]: `transforms.r.predicate` names the predicate isOrdr, which is not listed in `predicates`
 --> a.yaml:4:61
  |
4 | transforms.r: {type: RegexRouter, regex: x, replacement: y, predicate: isOrdr}
  |                                                             ^^^^^^^^^
  = help: Did you mean `isOrder`?
error[config.invalid_value]: Config 'transforms.s.negate' was provided but there is no config 'transforms.s.predicate' defining a predicate to be negated.
 --> a.yaml:5:61
  |
5 | transforms.s: {type: RegexRouter, regex: x, replacement: y, negate: true}
  |                                                             ^^^^^^
warning[config.unknown_key]: `predicates.isOrder.nam` is no key of the predicate HasHeaderKey and is ignored
 --> a.yaml:7:42
  |
7 | predicates.isOrder: {type: HasHeaderKey, nam: x}
  |                                          ^^^
  = help: Did you mean `predicates.isOrder.name`?
error[config.unknown_predicate]: Invalid value HasHeaderKy for configuration predicates.other.type: Class HasHeaderKy could not be found.
 --> a.yaml:8:1
  |
8 | predicates.other.type: HasHeaderKy
  | ^^^^^^^^^^^^^^^^^^^^^
  = help: Did you mean `HasHeaderKey`?
warning[config.unlisted_predicate]: the predicate stray has settings and is not listed in `predicates`
 --> a.yaml:9:1
  |
9 | predicates.stray.type: HasHeaderKey
  | ^^^^^^^^^^^^^^^^^^^^^
  = help: Add stray to `predicates`.
",
    ),
    (
        "a literal secret, which is not shown",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\ndatabase.password: hunter2\n")],
        "warning[config.literal_secret]: the value of `database.password` is a secret and stands here for all to read
 --> a.yaml:3:1
  |
3 | database.password: …
  | ^^^^^^^^^^^^^^^^^
  = help: Write \"${env:DATABASE_PASSWORD}\" or \"${file:/path:key}\" and keep the value there.
",
    ),
    (
        "a key that is set twice by nesting",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\ndatabase.port: 1\ndatabase:\n  port: 2\n")],
        "error[config.duplicate_key]: `database.port` is set twice, first on line 3
 --> a.yaml:5:3
  |
5 |   port: 2
  |   ^^^^
  = help: Nested keys join with dots, so `a: {b: …}` and `a.b: …` are the same key.
",
    ),
    (
        "a key that is set twice",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: shop\ntopic.prefix: shop\n")],
        "error[config.duplicate_key]: `topic.prefix` is set twice
 --> a.yaml:3:1
  |
3 | topic.prefix: shop
  | ^^^^^^^^^^^^
",
    ),
    (
        "a tab",
        &[("a.yaml", "connector.class: postgres-cdc\ndatabase:\n\tport: 1\n")],
        "error[config.syntax]: tabs disallowed within this context (block indentation)
 --> a.yaml:3:1
  |
3 | \tport: 1
  | ^
  = help: YAML is indented with spaces, never with tabs.
",
    ),
    (
        "lists of the wrong kind",
        &[(
            "a.yaml",
            "connector.class: postgres-cdc\ntopic.prefix: shop\ntable.include.list: [a, {b: c}]\nskipped.operations: [\"c,u\"]\nsnapshot.mode:\n",
        )],
        "error[config.nested_list]: `table.include.list` is a list of something else than texts and numbers
 --> a.yaml:3:25
  |
3 | table.include.list: [a, {b: c}]
  |                         ^^
  = help: Lists hold plain values; nested settings are maps, whose keys join with dots.
error[config.comma_in_list]: an item of `skipped.operations` has a comma in it
 --> a.yaml:4:22
  |
4 | skipped.operations: [\"c,u\"]
  |                      ^^
  = help: Commas divide the items of a list. Write the whole list as one text if that is meant.
warning[config.no_value]: `snapshot.mode` has no value, so it is not set
 --> a.yaml:5:1
  |
5 | snapshot.mode:
  | ^^^^^^^^^^^^^
  = help: Write \"\" for an empty text, or take the line out.
",
    ),
    (
        "two connectors of one name",
        &[
            ("a.yaml", "name: x\nconnector.class: postgres-cdc\ntopic.prefix: shop\n"),
            ("b.yaml", "name: x\nconnector.class: postgres-cdc\ntopic.prefix: shop\n"),
        ],
        "error[config.duplicate_name]: there is a connector named x in a.yaml already
 --> b.yaml:1:1
  |
1 | name: x
  | ^^^^
  = help: Give each connector its own `name`.
",
    ),
    (
        "a second document without a name",
        &[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: a\n---\nconnector.class: postgres-cdc\ntopic.prefix: b\n")],
        "error[config.name_missing]: a second document of this file has no name
 --> a.yaml:4:1
  |
4 | connector.class: postgres-cdc
  | ^^^^^^^^^^^^^^^
  = help: The file's name stands in for one document only. Give this one a `name`.
",
    ),
    (
        "broken JSON",
        &[("a.json", "{\"name\": \"a\",\n \"config\": {\"connector.class\": \"postgres-cdc\"}\n")],
        "error[config.syntax]: ",
    ),
    (
        "something else than a map, and an empty file",
        &[("a.yaml", "just a text\n"), ("b.yaml", "\n")],
        "error[config.not_a_map]: a connector is a map of keys and values, and this is none
 --> a.yaml:1:1
  |
1 | just a text
  | ^^^^
warning[config.empty_file]: the file is empty
 --> b.yaml
  = help: Connectors that were in it keep running. Delete the file to stop them.
",
    ),
];

#[test]
fn what_is_wrong_is_said_with_its_place_and_remedy() {
    let mut differing = String::new();
    for (what, files, expected) in WRONG {
        let said = read(files).render().replace("\n\n", "\n");
        if !(said == expected || expected.ends_with(' ') && said.starts_with(expected)) {
            differing.push_str(&format!("## {what}\n{said}"));
        }
    }
    assert!(differing.is_empty(), "{differing}");
}

#[test]
fn a_bad_document_is_rejected_and_its_neighbours_are_not() {
    let reading = read(&[
        ("bad.yaml", "a: [\n"),
        ("good.yaml", CDC),
        ("mixed.yaml", &format!("name: m1\n{CDC}tasks.max: x\n---\nname: m2\n{CDC}")),
    ]);
    let rejected: Vec<_> =
        reading.documents.iter().map(|document| (document.name.as_str(), document.rejected)).collect();
    assert_eq!(rejected, [("good", false), ("m1", true), ("m2", false)]);
    assert_eq!(reading.broken, [Path::new("bad.yaml")]);
    assert_eq!(reading.files.len(), 3);
}

#[test]
fn findings_are_json_too() {
    let reading = read(&[("a.yaml", "connector.class: postgres-cdc\ntopic.prefix: s\ntasks.max: 0\n")]);
    assert_eq!(
        serde_json::to_string(&reading.findings[0]).expect("JSON"),
        r#"{"code":"config.invalid_value","severity":"error","connector":"a","file":"a.yaml","line":3,"column":1,"path":"tasks.max","message":"Invalid value 0 for configuration tasks.max: Value must be at least 1","suggestion":null}"#
    );
}

#[test]
fn an_examination_lists_keys_as_connect_does() {
    let config: Config =
        [("name", "c"), ("connector.class", "http-sink"), ("http.api.url", "http://x"), ("tasks.max", "abc")]
            .into_iter()
            .collect();
    let examination = examine(&config, Some(&spec(ConnectorKind::Sink)), &words());
    let errors: Vec<_> = examination
        .keys
        .iter()
        .flat_map(|key| key.errors.iter().map(|error| (key.definition.name.as_str(), error.as_str())))
        .collect();
    assert_eq!(
        errors,
        [
            ("tasks.max", "Invalid value abc for configuration tasks.max: Not a number of type INT"),
            ("topics", "Must configure one of topics or topics.regex"),
            ("topics.regex", "Must configure one of topics or topics.regex"),
        ]
    );
    assert_eq!(examination.error_count(), 3);
    let url = examination.keys.last().expect("keys");
    assert_eq!((url.definition.name.as_str(), url.value.as_deref()), ("http.url", Some("http://x")));
    assert_eq!(examination.groups, ["Common", "Transforms", "Predicates", "Error Handling"]);
    assert_eq!(normalise(&config, &spec(ConnectorKind::Sink)).get("http.url"), Some("http://x"));
}

#[test]
fn keys_of_ours_are_known_and_checked_and_no_part_of_connects_answer() {
    let config = [("retry.backoff.ms", "1 s"), ("batch.linger.ms", "5"), ("offset.out.of.range", "latest")];
    let config: Config = config
        .into_iter()
        .chain([("name", "c"), ("connector.class", "http-sink"), ("topics", "t"), ("http.url", "u")])
        .collect();
    let examination = examine(&config, Some(&spec(ConnectorKind::Sink)), &words());
    let said: Vec<_> =
        examination.findings.iter().map(|finding| (finding.code.as_ref(), finding.path.as_str())).collect();
    assert_eq!(said, [("config.invalid_value", "retry.backoff.ms")]);
    assert!(examination.keys.iter().all(|key| key.definition.name != "retry.backoff.ms"));
}

#[test]
fn an_examination_hides_literal_secrets_and_shows_references() {
    let password = |value: &str| {
        let config =
            [("name", "c"), ("connector.class", "postgres-cdc"), ("topic.prefix", "p"), ("database.password", value)];
        let examination = examine(&config.into_iter().collect(), Some(&spec(ConnectorKind::Source)), &words());
        let report = examination.keys.into_iter().find(|key| key.definition.name == "database.password");
        report.and_then(|key| key.value)
    };
    assert_eq!(password("hunter2").as_deref(), Some("[hidden]"));
    assert_eq!(password("${env:PGPASSWORD}").as_deref(), Some("${env:PGPASSWORD}"));
}

#[test]
fn transforms_may_name_a_version_or_a_file() {
    let transform = |class: &str| {
        let config = [("name", "c"), ("connector.class", "postgres-cdc"), ("topic.prefix", "p"), ("transforms", "t")];
        let config = config.into_iter().chain([
            ("transforms.t.type", class),
            ("transforms.t.regex", "a"),
            ("transforms.t.replacement", "b"),
        ]);
        let config: Config = config.collect();
        let findings = examine(&config, Some(&spec(ConnectorKind::Source)), &words()).findings;
        findings.into_iter().map(|finding| finding.message).collect::<Vec<_>>().join("; ")
    };
    let unknown = "Invalid value Nope for configuration transforms.t.type: Class Nope could not be found.";
    assert_eq!(["RegexRouter@1.0", "./mine.wasm", "Nope"].map(transform), ["", "", unknown]);
}

#[test]
fn a_sources_framework_keys_are_connects_in_connects_order() {
    let names: Vec<_> = framework_keys(ConnectorKind::Source).into_iter().map(|key| key.name).collect();
    assert_eq!(
        names.join(" "),
        "name connector.class connector.plugin.version tasks.max tasks.max.enforce key.converter \
        key.converter.plugin.version value.converter value.converter.plugin.version header.converter \
        header.converter.plugin.version transforms predicates config.action.reload errors.retry.timeout \
        errors.retry.delay.max.ms errors.tolerance errors.log.enable errors.log.include.messages topic.creation.groups \
        exactly.once.support transaction.boundary transaction.boundary.interval.ms offsets.storage.topic"
    );
}
