//! `towpath log`: what an operator sees of a log that runs alone, while it runs, after a kill, and of a stopped one.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use towpath_tests::{Folder, Signal, towpath_binary, towpath_log};

use crate::runner::blocking;

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("alone::topics_and_records_are_shown", || blocking(topics_and_records_are_shown()))]
}

fn said(data: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(towpath_binary()?).args(arguments).arg("--data-dir").arg(data).output()?;
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{arguments:?}: {}\n{out}{errors}", output.status);
    Ok(out.into_owned())
}

async fn topics_and_records_are_shown() -> Result<()> {
    let folder = Folder::new("towpath-alone-")?;
    let (data, output) = (folder.join("data"), folder.join("output"));
    let (mut process, _) = towpath_log(&data, &output).await?;
    said(&data, &["topics", "create", "orders", "--partitions", "2"])?;
    std::fs::write(folder.join("lines"), "k:first\nk:second\n")?;
    let mut produce = Command::new(towpath_binary()?);
    produce.args(["produce", "orders", "-K:", "--data-dir"]).arg(&data);
    let produced = produce.stdin(std::fs::File::open(folder.join("lines"))?).output()?;
    ensure!(produced.status.success(), "{}", String::from_utf8_lossy(&produced.stderr));
    let look = |how: &str| -> Result<()> {
        let listed = said(&data, &["topics", "list"])?;
        ensure!(listed.contains("orders"), "{how}: {listed}");
        let described = said(&data, &["topics", "describe", "orders"])?;
        ensure!(described.contains("orders"), "{how}: {described}");
        let read = said(&data, &["tail", "orders", "--exit"])?;
        ensure!(read.contains("first") && read.contains("second"), "{how}: {read}");
        Ok(())
    };
    look("it runs")?;
    process.end(Signal::KILL, LIMIT).await?;
    look("it was killed")?;
    let (mut process, _) = towpath_log(&data, &output).await?;
    look("it runs again")?;
    process.end(Signal::TERM, LIMIT).await?;
    look("it is stopped")?;
    folder.remove()
}
