//! What a hostile component does when it is called: hang, hoard, crash, flood, forge. Each deed can be done in any call.
//!
//! The configuration key `mode` says which and where: `loop@commit` hangs in `commit` and behaves elsewhere. Shared by the
//! components of this crate, which include it as a module of their own.
#![allow(unsafe_code)]

use std::time::Duration;

use towpath_sdk::bindings::imports::towpath::connect::scratch as raw;
use towpath_sdk::model::{Config, ConnectorError, Reading};
use towpath_sdk::scratch::File;
use towpath_sdk::{control, log, metrics, streams};

const DAY: Duration = Duration::from_secs(86_400);
const MANY: u32 = 100_000;

/// Does what `mode` says if it is to be done in this call.
///
/// # Errors
/// When the deed is an error.
pub(crate) fn strike(config: &Config, call: &str) -> Result<(), ConnectorError> {
    match config.get("mode").unwrap_or_default().split_once('@') {
        Some((deed, at)) if at == call => commit(deed, config.get("password").unwrap_or_default()),
        _ => Ok(()),
    }
}

fn commit(deed: &str, secret: &str) -> Result<(), ConnectorError> {
    match deed {
        "loop" => spin(),
        "hoard" => hoard(),
        "stack-overflow" => drop(dig(0)),
        "panic" => panic!("no such table, said {secret}"),
        "exit" => std::process::exit(3),
        "sleep" => std::thread::sleep(DAY),
        // Neither of these heeds the host's interrupts.
        "wait-for-ever" => loop {
            streams::wait(&[], DAY);
        },
        "wait-and-spin" => loop {
            streams::wait(&[], Duration::ZERO);
        },
        "leak-handles" => (0..MANY).for_each(|_| std::mem::forget(File::create())),
        // SAFETY: of the component alone, and it is the host that must not be harmed by it.
        "forge-handle" => {
            std::hint::black_box(unsafe { raw::File::from_handle(0x0bad) }.size());
        }
        "use-after-drop" => {
            let file = raw::File::create().map_err(|_| ConnectorError::fatal("no file"))?;
            let handle = file.handle();
            drop(file);
            // SAFETY: as above.
            std::hint::black_box(unsafe { raw::File::from_handle(handle) }.size());
        }
        "fill-scratch" => return fill_scratch(),
        "log-flood" => (0..MANY).for_each(|line| log::warn(format!("line {line} of a flood"))),
        "print-flood" => (0..MANY).for_each(|line| eprintln!("line {line} of a flood")),
        "long-line" => log::warn("long ".repeat(4 << 20)),
        "metric-flood" => (0..100).for_each(|block| {
            let names: Vec<String> = (0..1_000).map(|name| format!("metric_{block}_{name}")).collect();
            metrics::record_all(names.iter().map(|name| (name.as_str(), Reading::Gauge(f64::NAN))));
        }),
        "wish-flood" => (0..MANY).for_each(|_| control::request_reconfiguration("because")),
        "huge-error" => return Err(ConnectorError::fatal(format!("refused by {secret} {}", "x".repeat(20 << 20)))),
        "huge-config-error" => return Err(ConnectorError::config("mode".repeat(1 << 20), "y".repeat(10 << 20))),
        _ => return Err(ConnectorError::fatal(format!("there is no deed {deed}"))),
    }
    Ok(())
}

/// Writes until the host says no, and tells what it said.
fn fill_scratch() -> Result<(), ConnectorError> {
    let block = vec![7; 1 << 20];
    let written = File::create().and_then(|file| {
        loop {
            file.append(&block)?;
        }
    });
    written.map_err(|error| ConnectorError::fatal(error.to_string()))
}

fn spin() {
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn hoard() {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

fn dig(depth: u64) -> u64 {
    let deeper = std::hint::black_box(depth).wrapping_add(1);
    if deeper == 0 { 0 } else { dig(deeper).wrapping_add(std::hint::black_box(1)) }
}
