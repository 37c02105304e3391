//! Who may use REST: TLS, users with a password, and those who may only look, as an operator at the command line meets them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use towpath_tests::{Deadline, Folder, Process, Signal, towpath_binary};

use crate::runner::blocking;

const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("access::rest_over_tls_asks_who_comes", || blocking(rest_over_tls_asks_who_comes()))]
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
    let address = address(&mut process, &data).await?;

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

async fn address(process: &mut Process, data: &Path) -> Result<String> {
    let deadline = Deadline::after(LIMIT);
    loop {
        if let Ok(text) = std::fs::read_to_string(data.join("addresses.json")) {
            let addresses: serde_json::Value = serde_json::from_str(&text)?;
            ensure!(addresses["rest_tls"] == true, "{text}");
            return Ok(addresses["rest"].as_str().context("an address")?.to_owned());
        }
        process.must_run()?;
        ensure!(!deadline.is_over(), "no addresses.json\n{}", process.last_output());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
