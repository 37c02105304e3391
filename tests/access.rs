//! Who may use REST and the schema registry: TLS, users with a password, and those who may only look, as an operator at the command line
//! and clients of a registry meet them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use reqwest::Method;
use serde_json::Value;
use towpath_tests::{Deadline, Folder, Process, Signal, http_client_that_trusts, towpath_binary};

use crate::runner::blocking;

const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("access::rest_over_tls_asks_who_comes", || blocking(rest_over_tls_asks_who_comes())),
        Trial::test("access::the_registry_over_tls_asks_who_comes", || blocking(registry_over_tls_asks_who_comes())),
    ]
}

/// Certificates for localhost and 127.0.0.1.
fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/broker/src/tests/tls").join(name)
}

async fn rest_over_tls_asks_who_comes() -> Result<()> {
    let folder = Folder::new("towpath-access-")?;
    let (pipelines, data) = (folder.join("pipelines"), folder.join("data"));
    std::fs::create_dir_all(&pipelines)?;
    for (name, access) in [("ann", "write"), ("bob", "read"), ("kafka-only", "none")] {
        add_user(&data, name, access)?;
    }
    let mut command = Command::new(towpath_binary()?);
    command.arg("run").arg(&pipelines).arg("--data-dir").arg(&data);
    command.args(["--rest", "127.0.0.1:0", "--kafka", "none", "--rest-basic-auth", "--rest-tls-cert"]);
    command.arg(certificate("server.pem")).arg("--rest-tls-key").arg(certificate("server.key"));
    let mut process = Process::start("towpath run", &mut command, &folder.join("output"))?;
    let addresses = addresses(&mut process, &data).await?;
    ensure!(addresses["rest_tls"] == true, "{addresses}");
    let address = addresses["rest"].as_str().context("an address")?;

    let ask = |arguments: &[&str], url: &str| -> Result<(Option<i32>, String)> {
        let mut command = Command::new(towpath_binary()?);
        command.args(arguments).args(["--url", url, "--rest-ca"]).arg(certificate("authority.pem"));
        let output = command.output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    };
    let as_user = |user: &str| format!("https://{user}:{user}-password@{address}");
    let expect = |arguments: &[&str], url: &str, code: i32, text: &str| -> Result<()> {
        let (ended, said) = ask(arguments, url)?;
        ensure!(ended == Some(code) && said.contains(text), "{arguments:?} at {url}: {ended:?}\n{said}");
        Ok(())
    };
    expect(&["status"], &as_user("ann"), 0, "")?;
    expect(&["status"], &as_user("bob"), 0, "")?;
    expect(&["pause", "orders"], &as_user("ann"), 2, "Unknown connector orders")?;
    expect(&["pause", "orders"], &as_user("bob"), 2, "may look")?;
    expect(&["status"], &as_user("kafka-only"), 2, "Authorization: Basic")?;
    expect(&["status"], &format!("https://ann:wrong@{address}"), 2, "Authorization: Basic")?;
    expect(&["status"], &format!("https://{address}"), 2, "Authorization: Basic")?;
    expect(&["status"], &format!("http://{address}"), 3, "no worker answers")?;

    let mut command = Command::new(towpath_binary()?);
    let output = command.args(["status", "--data-dir"]).arg(&data).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(3) && said.contains("certificate"), "an authority nobody knows: {said}");
    let ended = process.end(Signal::TERM, LIMIT).await?;
    ensure!(ended.success(), "{}", process.last_output());
    folder.remove()
}

fn add_user(data: &Path, name: &str, access: &str) -> Result<()> {
    let mut command = Command::new(towpath_binary()?);
    command.args(["users", "add", name, "--rest", access, "--data-dir"]).arg(data).stdin(Stdio::piped());
    let mut adding = command.spawn()?;
    writeln!(adding.stdin.take().context("its stdin")?, "{name}-password")?;
    ensure!(adding.wait()?.success(), "{name} is not added");
    Ok(())
}

async fn addresses(process: &mut Process, data: &Path) -> Result<Value> {
    let deadline = Deadline::after(LIMIT);
    loop {
        if let Ok(text) = std::fs::read_to_string(data.join("addresses.json")) {
            return Ok(serde_json::from_str(&text)?);
        }
        process.must_run()?;
        ensure!(!deadline.is_over(), "no addresses.json\n{}", process.last_output());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn registry_over_tls_asks_who_comes() -> Result<()> {
    let folder = Folder::new("towpath-access-")?;
    let (pipelines, data) = (folder.join("pipelines"), folder.join("data"));
    std::fs::create_dir_all(&pipelines)?;
    for (name, access) in [("ann", "write"), ("bob", "read"), ("kafka-only", "none")] {
        add_user(&data, name, access)?;
    }
    let mut command = Command::new(towpath_binary()?);
    command.arg("run").arg(&pipelines).arg("--data-dir").arg(&data);
    command.args(["--rest", "127.0.0.1:0", "--kafka", "none", "--registry", "127.0.0.1:0", "--registry-basic-auth"]);
    command.arg("--registry-tls-cert").arg(certificate("server.pem"));
    command.arg("--registry-tls-key").arg(certificate("server.key"));
    let mut process = Process::start("towpath run", &mut command, &folder.join("output"))?;
    let addresses = addresses(&mut process, &data).await?;
    let address = addresses["registry"].as_str().context("an address")?;
    let told = process.last_output();
    ensure!(told.contains(&format!("registry https://{address}")), "{told}");

    let authority = reqwest::Certificate::from_pem(&std::fs::read(certificate("authority.pem"))?)?;
    let client = http_client_that_trusts(vec![authority])?;
    let schema = serde_json::json!({ "schema": "\"string\"" }).to_string();
    let ask = async |user: Option<&str>, method: Method, path: &str| -> Result<u16> {
        let request = client.request(method, format!("https://{address}{path}")).body(schema.clone());
        let request =
            user.into_iter().fold(request, |request, user| request.basic_auth(user, Some(format!("{user}-password"))));
        Ok(request.send().await?.status().as_u16())
    };
    let versions = "/subjects/orders-value/versions";
    for (user, method, path, status) in [
        (None, Method::GET, "/subjects", 401),
        (Some("nobody"), Method::GET, "/subjects", 401),
        (Some("kafka-only"), Method::GET, "/subjects", 401),
        (Some("bob"), Method::POST, versions, 403),
        (Some("ann"), Method::POST, versions, 200),
        (Some("bob"), Method::GET, versions, 200),
        (Some("bob"), Method::POST, "/subjects/orders-value", 200),
        (Some("bob"), Method::POST, "/compatibility/subjects/orders-value/versions/latest", 200),
        (Some("bob"), Method::DELETE, "/subjects/orders-value", 403),
    ] {
        let answered = ask(user, method.clone(), path).await?;
        ensure!(answered == status, "{user:?} {method} {path}: {answered} instead of {status}");
    }
    let plain = client.get(format!("http://{address}/subjects")).send().await;
    ensure!(plain.is_err(), "without TLS there is no answer: {plain:?}");
    let ended = process.end(Signal::TERM, LIMIT).await?;
    ensure!(ended.success(), "{}", process.last_output());
    folder.remove()
}
