//! TLS to Postgres, as far as each `database.sslmode` checks it, and certificates that change while the worker runs.
//!
//! The folder `tls` holds a certificate for `localhost`, one for the same key that expired in 2021, the authority that signed both,
//! whose own key was thrown away, and a stranger. They guard nothing and, but for the one, are valid for a hundred years.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use towpath_tests::{Folder, PASSWORD, Postgres, PostgresOptions, Signal, USER, Worker, WorkerOptions, eventually};

const SETTLES_WITHIN: Duration = Duration::from_secs(120);

/// Mode, host, authority, and what must come of it: RUNNING, or words of why not.
const LOGINS: [(&str, &str, &str, Result<(), &str>); 8] = [
    ("verify-full", "localhost", "authority.pem", Ok(())),
    ("verify-ca", "127.0.0.1", "authority.pem", Ok(())),
    ("require", "127.0.0.1", "stranger.pem", Ok(())),
    ("prefer", "127.0.0.1", "", Ok(())),
    ("verify-full", "127.0.0.1", "authority.pem", Err("not valid for name")),
    ("verify-full", "localhost", "stranger.pem", Err("UnknownIssuer")),
    ("verify-ca", "localhost", "stranger.pem", Err("UnknownIssuer")),
    ("verify-full", "localhost", "absent.pem", Err("absent.pem")),
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("chaos/tls").join(name)
}

pub(super) async fn certificates() -> Result<()> {
    let options = PostgresOptions {
        settings: vec!["ssl=on".into()],
        certificate: Some(pair("server.pem")),
        ..PostgresOptions::default()
    };
    let postgres = Postgres::start(options).await?;
    postgres.create_database("vault").await?;
    let client = postgres.connect("vault").await?;
    client
        .batch_execute("create table public.orders (id int primary key); insert into public.orders values (1)")
        .await?;
    let folder = Folder::new("towpath-tls-")?;
    let mut options = WorkerOptions::within(folder.path());
    options.environment.insert("PG_PASSWORD".into(), PASSWORD.into());
    std::fs::create_dir_all(&options.pipelines)?;
    for (number, (mode, host, authority, _)) in LOGINS.iter().enumerate() {
        let roots = match *authority {
            "" => String::new(),
            name => format!("database.sslrootcert: {}\n", file(name).display()),
        };
        let text = format!(
            "connector.class: postgres-cdc\ntopic.prefix: t{number}\ntable.include.list: [public.orders]\nslot.name: tls_{number}\n\
             publication.autocreate.mode: filtered\npublication.name: tls_{number}\ndatabase.sslmode: {mode}\n{roots}\
             database: {{hostname: {host}, port: {}, user: {USER}, password: \"${{env:PG_PASSWORD}}\", dbname: vault}}\n",
            postgres.port(),
        );
        std::fs::write(options.pipelines.join(format!("login-{number}.yaml")), text)?;
    }
    let worker = Worker::start(&options).await?;
    for (number, (mode, host, authority, expected)) in LOGINS.iter().enumerate() {
        let what = format!("{mode} to {host} with {authority:?}; everything is kept in {}", folder.path().display());
        eventually(&what, SETTLES_WITHIN, || async { settled(&worker, number, *expected).await }).await?;
    }
    let plain = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where application_name ilike 'towpath%' and not ssl";
    let superuser = postgres.connect_as_superuser("vault").await?;
    let in_the_clear: i64 = superuser.query_one(plain, &[]).await?.get(0);
    ensure!(in_the_clear == 0, "{in_the_clear} connections are not encrypted");
    drop((client, superuser));

    // The certificate expires, as it were: who checks it says so, and goes on once there is a new one.
    postgres.present(&pair("expired.pem"))?;
    postgres.restart(Signal::INT).await?;
    eventually("the expired certificate to be named", SETTLES_WITHIN, || async {
        settled(&worker, 0, Err("xpired")).await?;
        settled(&worker, 1, Err("xpired")).await
    })
    .await?;
    postgres.present(&pair("server.pem"))?;
    postgres.restart(Signal::INT).await?;
    for number in [0, 1] {
        let path = format!("/connectors/login-{number}/restart?includeTasks=true");
        let (code, answer) = worker.rest().send(reqwest::Method::POST, &path, None).await?;
        ensure!(code < 300, "{path} answered {code}: {answer}");
        eventually("a new certificate to be taken", SETTLES_WITHIN, || async {
            settled(&worker, number, Ok(())).await
        })
        .await?;
    }
    let status = worker.stop().await?;
    ensure!(status.success(), "the worker ended with {status}");
    postgres.stop().await?;
    folder.remove()
}

fn pair(certificate: &str) -> (PathBuf, PathBuf) {
    (file(certificate), file("server.key"))
}

async fn settled(worker: &Worker, number: usize, expected: Result<(), &str>) -> Result<()> {
    let status = worker.rest().get(&format!("/connectors/login-{number}/status")).await?;
    let text = |path: &str| status.pointer(path).and_then(Value::as_str).unwrap_or_default();
    match expected {
        Ok(()) => ensure!(text("/tasks/0/state") == "RUNNING", "its status is {status}"),
        Err(words) => {
            ensure!(
                text("/tasks/0/state") == "FAILED" || text("/connector/state") == "FAILED",
                "its status is {status}"
            );
            ensure!(status.to_string().contains(words), "its status does not speak of {words:?}: {status}");
        }
    }
    Ok(())
}
