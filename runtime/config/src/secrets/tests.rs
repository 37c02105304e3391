//! References, who may use which, and what never shows.

use std::path::PathBuf;

use towpath_model::Config;

use super::*;

fn config(value: &str) -> Config {
    [("name", "c"), ("k", value)].into_iter().collect()
}

fn env(name: &str) -> Option<String> {
    (name == "PGPASSWORD").then(|| "hunter22".to_owned())
}

fn resolved(value: &str, policy: &Policy) -> Result<String, &'static str> {
    match resolve(&config(value), policy, None, &env) {
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
    let resolved = resolve(&config(&value), &Policy::Trusted, None, &env).expect("resolved");
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
    let policy = Policy::Allowed { env: vec!["PG*".into()], paths: vec![folder.path().join("mounted")] };
    for (value, expected) in [
        ("${env:PGPASSWORD}".to_owned(), Ok("hunter22")),
        ("${env:HOME}".to_owned(), Err("config.secret_denied")),
        (format!("${{dir:{path}/mounted:token}}"), Ok("abc def")),
        (format!("${{file:{path}/db.properties:password}}"), Err("config.secret_denied")),
        (format!("${{file:{path}/mounted/../db.properties:password}}"), Err("config.secret_denied")),
        (format!("${{file:{path}/mounted/link:password}}"), Err("config.secret_denied")),
        ("${secret:other:k}".to_owned(), Err("config.secret_denied")),
        ("${secret:c:k}".to_owned(), Err("config.secret_missing")),
    ] {
        assert_eq!(resolved(&value, &policy).as_deref(), expected.as_deref(), "{value}");
    }
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
fn redaction_prefers_the_longer_secret_and_knows_json() {
    let mut redactor = Redactor::default();
    redactor.add("pass");
    redactor.add("password\"1");
    redactor.add("abc");
    assert_eq!(
        redactor.redact(r#"password"1 {"p":"password\"1"} pass abc"#),
        r#"[hidden] {"p":"[hidden]"} [hidden] abc"#
    );
}
