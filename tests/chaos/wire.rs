//! A wire that can be unplugged or fall silent: a network namespace on the far side of a pair of virtual interfaces.
//!
//! ```text
//! worker ── near ═══ veth ═══ far: relay process ── Unix socket ── this process ── server
//! ```
//! The servers stay where they are; only the wire between the worker and them is real enough to be broken. Silent means that
//! nothing comes back any more, no answer and no refusal: what is called half-open. It takes the right to administer the network.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;
use towpath_tests::{Folder, Process, eventually};

const RELAY: &str = "--relay";
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// The wire, whole until it is broken.
pub(crate) struct Wire {
    name: String,
    near: String,
    far: String,
    folder: Option<Folder>,
    relays: Vec<Process>,
    behind: Vec<JoinHandle<()>>,
}

impl Wire {
    /// Lays a wire; none, with the reason, where that is not permitted.
    pub(crate) fn lay() -> Result<Result<Self, String>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id().wrapping_mul(8).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let name = format!("tow{}", number % 1_000_000);
        let subnet = format!("10.{}.{}", 128 + number / 256 % 100, number % 256);
        let (near, far) = (format!("{subnet}.1"), format!("{subnet}.2"));
        if let Err(why) = ip(&["netns", "add", &name]) {
            return Ok(Err(format!("{why:#}")));
        }
        let mut wire = Self { name, near, far, folder: None, relays: Vec::new(), behind: Vec::new() };
        let (near_end, far_end) = (wire.end('n'), wire.end('f'));
        if let Err(why) = ip(&["link", "add", &near_end, "type", "veth", "peer", "name", &far_end, "netns", &wire.name])
        {
            return Ok(Err(format!("{why:#}")));
        }
        ip(&["addr", "add", &format!("{}/30", wire.near), "dev", &near_end])?;
        ip(&["link", "set", &near_end, "up"])?;
        ip(&["-n", &wire.name, "addr", "add", &format!("{}/30", wire.far), "dev", &far_end])?;
        ip(&["-n", &wire.name, "link", "set", &far_end, "up"])?;
        wire.folder = Some(Folder::new("towpath-wire-")?);
        Ok(Ok(wire))
    }

    /// The far end of the wire to a server on this machine.
    pub(crate) async fn to(&mut self, server: SocketAddr) -> Result<SocketAddr> {
        let folder = self.folder.as_ref().context("the wire is not laid")?;
        let number = self.relays.len();
        let socket = folder.join(format!("{number}.socket"));
        self.behind.push(tokio::spawn(behind(UnixListener::bind(&socket)?, server)));
        let address = folder.join(format!("{number}.address"));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(std::env::current_exe()?);
        command.arg(RELAY).arg(&self.far).arg(&socket).arg(&address);
        self.relays.push(Process::start("a relay", &mut command, &folder.join(format!("{number}.log")))?);
        eventually("the relay to listen", LISTENS_WITHIN, || async {
            let text = std::fs::read_to_string(&address)?;
            text.trim().parse().map_err(|_| anyhow!("{text:?} is no address"))
        })
        .await
    }

    /// From now on nothing comes back, and nobody says so.
    pub(crate) fn silence(&self) -> Result<()> {
        ip(&["-n", &self.name, "route", "add", "blackhole", &self.near])
    }

    /// Something comes back again.
    pub(crate) fn end_silence(&self) -> Result<()> {
        ip(&["-n", &self.name, "route", "del", "blackhole", &self.near])
    }

    /// Pulls the plug on the near side.
    pub(crate) fn unplug(&self) -> Result<()> {
        ip(&["link", "set", &self.end('n'), "down"])
    }

    /// Plugs it in again.
    pub(crate) fn plug_in(&self) -> Result<()> {
        ip(&["link", "set", &self.end('n'), "up"])
    }

    /// The interface at one of the ends.
    fn end(&self, which: char) -> String {
        format!("{}{which}", self.name)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.relays.clear();
        for behind in &self.behind {
            behind.abort();
        }
        // The interfaces go with the namespace.
        let _ = ip(&["netns", "del", &self.name]);
        if let Some(folder) = self.folder.take() {
            let _ = folder.remove();
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("running ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

/// What the relay hears goes on to the server.
async fn behind(listener: UnixListener, server: SocketAddr) {
    while let Ok((mut near, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(server).await {
                // Either side may break off; that is what this is for.
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

/// This program as the relay in the namespace, if that is what it was started for.
pub(crate) fn relay() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != RELAY {
        return None;
    }
    let host = arguments.next()?.into_string().ok()?;
    let (socket, address) = (PathBuf::from(arguments.next()?), PathBuf::from(arguments.next()?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    match runtime.block_on(serve(&host, &socket, &address)) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("the relay failed: {error:#}");
            Some(ExitCode::FAILURE)
        }
    }
}

async fn serve(host: &str, socket: &Path, address: &Path) -> Result<()> {
    let listener = TcpListener::bind((host, 0)).await?;
    std::fs::write(address, listener.local_addr()?.to_string())?;
    loop {
        let (mut near, _) = listener.accept().await?;
        let socket = socket.to_owned();
        tokio::spawn(async move {
            if let Ok(mut far) = UnixStream::connect(socket).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
