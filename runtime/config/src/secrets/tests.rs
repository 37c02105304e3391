//! References, who may use which, and what never shows.

use std::path::PathBuf;

use towpath_model::{Config, ConfigKey, ConnectorKind, Importance, Spec, ValueType, Width};

use super::*;

fn config(value: &str) -> Config {
    [("name", "c"), ("k", value)].into_iter().collect()
}

fn spec(plain: &[&str], secret: &[&str]) -> Spec {
    let key = |name: &&str, secret: bool| ConfigKey {
        name: (*name).into(),
        value_type: ValueType::String,
        default: None,
        optional: true,
        importance: Importance::High,
        doc: String::new(),
        group: None,
        order: 0,
        width: Width::None,
        display_name: String::new(),
        dependents: Vec::new(),
        valid_values: Vec::new(),
        aliases: Vec::new(),
        secret,
        endpoint: None,
    };
    Spec {
        name: "plugin".into(),
        version: "1".into(),
        kind: ConnectorKind::Sink,
        doc: String::new(),
        keys: plain.iter().map(|name| key(name, false)).chain(secret.iter().map(|name| key(name, true))).collect(),
        open_prefixes: vec!["header.".into()],
        credentials: Vec::new(),
        capabilities: Vec::new(),
        accepts: Vec::new(),
        defines_transactions: false,
    }
}

fn env(name: &str) -> Option<String> {
    (name == "PGPASSWORD").then(|| "hunter22".to_owned())
}

fn providers(store: Option<&SecretStore>) -> Providers<'_> {
    static ANSWERS: std::sync::LazyLock<Answers> = std::sync::LazyLock::new(|| {
        let question = |argument: &str| ("vault".to_owned(), argument.to_owned());
        let sealed = Err("it ended with 2: the vault is sealed".to_owned());
        [(question("db:password"), Ok("fr0m the vault".to_owned())), (question("sealed"), sealed)].into()
    });
    Providers { store, env: &env, answers: &ANSWERS }
}

fn resolved(value: &str, policy: &Policy) -> Result<String, &'static str> {
    match resolve(&config(value), &spec(&["k"], &[]), policy, providers(None)) {
        Ok(resolved) => Ok(resolved.config.get("k").expect("it is set").to_owned()),
        Err(errors) => Err(errors[0].code),
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("db.properties"), "user=cdc\npassword = s3cr3t\n").expect("written");
    std::fs::create_dir(folder.path().join("mounted")).expect("made");
    std::fs::write(folder.path().join("mounted/token"), "abc def\n").expect("written");
    folder
}

#[test]
fn references_are_resolved_wherever_they_stand() {
    let folder = folder();
    let path = folder.path().display();
    for (value, expected) in [
        ("plain".to_owned(), Ok("plain")),
        ("${env:PGPASSWORD}".to_owned(), Ok("hunter22")),
        ("a ${env:PGPASSWORD} b ${env:PGPASSWORD}".to_owned(), Ok("a hunter22 b hunter22")),
        (format!("${{file:{path}/db.properties:password}}"), Ok("s3cr3t")),
        (format!("${{dir:{path}/mounted:token}}"), Ok("abc def")),
        ("${exec:vault:db:password}".to_owned(), Ok("fr0m the vault")),
        ("${exec:vault:sealed}".to_owned(), Err("config.secret_command")),
        ("${exec:vault}".to_owned(), Err("config.secret_malformed")),
        ("${topic}/${env}/$${".to_owned(), Ok("${topic}/${env}/$${")),
        ("${timestamp:yyyy}".to_owned(), Ok("${timestamp:yyyy}")),
        ("${evn:PGPASSWORD}".to_owned(), Err("config.secret_provider")),
        ("${env:NOPE}".to_owned(), Err("config.secret_missing")),
        (format!("${{file:{path}/db.properties:nope}}"), Err("config.secret_missing")),
        (format!("${{file:{path}/nope:k}}"), Err("config.secret_unreadable")),
        ("${file:nowhere}".to_owned(), Err("config.secret_malformed")),
        ("${secret:c:k}".to_owned(), Err("config.secret_missing")),
    ] {
        assert_eq!(resolved(&value, &Policy::Trusted).as_deref(), expected.as_deref(), "{value}");
    }
}

#[test]
fn files_that_were_read_are_listed() {
    let folder = folder();
    let file = folder.path().join("db.properties");
    let value = format!("${{file:{0}:user}} ${{file:{0}:password}}", file.display());
    let resolved = resolve(&config(&value), &spec(&["k"], &[]), &Policy::Trusted, providers(None)).expect("resolved");
    assert_eq!(resolved.files, [file]);
    assert_eq!(resolved.redactor.redact("login failed for s3cr3t"), "login failed for [hidden]");
    assert!(!format!("{resolved:?}").contains("s3cr3t"));
}

#[test]
fn configurations_over_rest_reach_only_what_is_allowed() {
    let folder = folder();
    let path = folder.path().display();
    std::os::unix::fs::symlink(folder.path().join("db.properties"), folder.path().join("mounted/link"))
        .expect("linked");
    let policy = Policy::Allowed {
        env: vec!["PG*".into()],
        paths: vec![folder.path().join("mounted")],
        commands: vec!["vault".into()],
        files: Files::default(),
    };
    for (value, expected) in [
        ("${env:PGPASSWORD}".to_owned(), Ok("hunter22")),
        ("${env:HOME}".to_owned(), Err("config.secret_denied")),
        (format!("${{dir:{path}/mounted:token}}"), Ok("abc def")),
        (format!("${{file:{path}/db.properties:password}}"), Err("config.secret_denied")),
        (format!("${{file:{path}/mounted/../db.properties:password}}"), Err("config.secret_denied")),
        (format!("${{file:{path}/mounted/link:password}}"), Err("config.secret_denied")),
        ("${exec:vault:db:password}".to_owned(), Ok("fr0m the vault")),
        ("${exec:pass:db}".to_owned(), Err("config.secret_denied")),
        ("${secret:other:k}".to_owned(), Err("config.secret_denied")),
        ("${secret:c:k}".to_owned(), Err("config.secret_missing")),
    ] {
        assert_eq!(resolved(&value, &policy).as_deref(), expected.as_deref(), "{value}");
    }
}

#[test]
fn commands_are_asked_once_and_only_where_that_is_allowed() {
    let mut config = config("${exec:vault:a} ${exec:pass:b} ${exec:vault:a}");
    config.set("l", "${exec:vault} ${env:X} ${exec:vault:c}");
    let asked = |policy: &Policy| {
        questions(&config, policy)
            .into_iter()
            .map(|(command, argument)| format!("{command} {argument}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(&Policy::Trusted), ["pass b", "vault a", "vault c"]);
    let allowed = |commands: &[&str]| Policy::Allowed {
        env: vec![],
        paths: vec![],
        commands: commands.iter().map(|command| (*command).to_owned()).collect(),
        files: Files::default(),
    };
    assert_eq!(asked(&allowed(&["pass"])), ["pass b"]);
    assert!(asked(&allowed(&[])).is_empty());
}

#[test]
fn the_store_survives_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secrets.json");
    let store = SecretStore::open(&path).expect("open");
    assert_eq!(store.put("c", "k", "v1").expect("stored"), "${secret:c:k}");
    store.put("c", "k", "v2").expect("stored");
    store.put("d", "k", "v3").expect("stored");
    store.remove("d").expect("removed");
    let mode = |path: &PathBuf| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let store = SecretStore::open(&path).expect("open again");
    assert_eq!((store.get("c", "k").as_deref(), store.get("d", "k"), mode(&path)), (Some("v2"), None, 0o600));
    std::fs::write(&path, "{\"version\":1,\"secrets\":\"v2secret\"}").expect("written");
    let error = SecretStore::open(&path).expect_err("damaged").to_string();
    assert!(error.contains("damaged") && !error.contains("v2secret"), "{error}");
}

#[test]
fn what_is_no_secret_stays_readable() {
    let spec = spec(&["database.hostname", "http.url", "http.headers"], &["database.password"]);
    let hidden = |key: &str, value: &str| {
        let config = [("name", "c"), (key, value)].into_iter().collect();
        let env = |name: &str| Some(format!("value-of-{name}"));
        let resolved =
            resolve(&config, &spec, &Policy::Trusted, Providers { env: &env, ..providers(None) }).expect("resolved");
        let text = resolved.config.get(key).expect("set").to_owned();
        resolved.redactor.redact(&text).into_owned()
    };
    for (key, value, expected) in [
        ("database.hostname", "${env:PGHOST}", "value-of-PGHOST"),
        ("topics", "${env:TOPICS}", "value-of-TOPICS"),
        ("database.password", "${env:PGHOST}", "[hidden]"),
        ("database.password", "literal", "[hidden]"),
        ("database.hostname", "${env:HOST_TOKEN}", "[hidden]"),
        ("database.hostname", "db-${env:HOST}", "db-[hidden]"),
        ("http.headers", "X-Auth:${env:X}", "X-Auth:[hidden]"),
        ("header.X", "${env:X}", "[hidden]"),
        ("http.url", "https://u:pw1@h/", "https://u:[hidden]@h/"),
    ] {
        assert_eq!(hidden(key, value), expected, "{key}: {value}");
    }
}

#[test]
fn literals_leave_their_place_to_references_and_passwords_in_urls_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SecretStore::open(&folder.path().join("secrets.json")).expect("open");
    let spec = spec(&["http.url"], &["database.password"]);
    let given = [("name", "c"), ("database.password", "hunter2"), ("http.url", "https://u:hunter3@h/x")];
    let mut config: Config = given.into_iter().collect();
    withhold_literals("c", &mut config, &spec, &store).expect("stored");
    assert_eq!(config.get("database.password"), Some("${secret:c:database.password}"));
    assert_eq!(config.get("http.url"), Some("https://u:${secret:c:http.url:password}@h/x"));
    let resolved = resolve(&config, &spec, &Policy::Trusted, providers(Some(&store))).expect("resolved");
    assert_eq!(resolved.config, given.into_iter().collect());
}
