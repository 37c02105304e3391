//! What a worker needs of its machine: open files, a disk with room that syncs in time, ports.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{StatVfs, statfs, statvfs};
use rustix::process::{Resource, getrlimit};
use towpath_config::{Finding, Severity};
use towpath_model::{Clock, SystemClock};

use super::Look;

/// Connections, segments and files of connectors add up.
const OPEN_FILES_MIN: u64 = 4096;
/// Below it the log soon takes nothing more.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Below it a busy day fills the disk.
const FREE_BYTES_WANTED: u64 = 2 << 30;
/// Every acknowledgement waits for a sync.
const SYNC_WANTED: Duration = Duration::from_millis(20);
/// How often a sync is measured.
const SYNCS: usize = 15;
/// File systems that forget, and those on which a sync says little, by their magic numbers (linux/magic.h).
const DOUBTFUL: [(i64, &str); 3] = [
    (0x0102_1994, "tmpfs, which is gone with the next restart of the machine"),
    (0x6969, "NFS, where files can be locked and synced less reliably than on a disk of this machine"),
    (0xff53_4d42_u32 as i64, "CIFS, where files can be locked and synced less reliably than on a disk of this machine"),
];
/// Where a worker listens unless told otherwise, and what tells it otherwise.
const PORTS: [(&str, &str); 3] =
    [("127.0.0.1:8083", "--rest"), ("127.0.0.1:9092", "--kafka"), ("127.0.0.1:8081", "--registry")];

/// Looks at the machine; ports are of interest only where no worker runs that has them.
pub(super) fn looks(data_dir: &Path, runs: bool) -> Vec<Look> {
    let mut looks = vec![open_files(), disk(data_dir)];
    if !runs {
        looks.push(ports());
    }
    looks
}

fn warning(code: &'static str, message: String, remedy: String) -> Finding {
    Finding::new(Severity::Warning, code, message).suggest(remedy)
}

fn error(code: &'static str, message: String, remedy: String) -> Finding {
    Finding { passing: true, ..Finding::new(Severity::Error, code, message).suggest(remedy) }
}

fn open_files() -> Look {
    let limit = getrlimit(Resource::Nofile).current;
    let few = limit.filter(|limit| *limit < OPEN_FILES_MIN).map(|limit| {
        warning(
            "doctor.open_files",
            format!("this process may open {limit} files, and a busy worker needs more"),
            format!("Raise it before the worker starts: `ulimit -n 65536`, or LimitNOFILE=65536 in its systemd unit; at least {OPEN_FILES_MIN}."),
        )
    });
    let found = limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    Look::new("open files", found, few)
}

/// The folder that is there, or that the data directory would be made in.
fn existing(data_dir: &Path) -> PathBuf {
    let path = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn disk(data_dir: &Path) -> Look {
    let folder = existing(data_dir);
    let shown = folder.display();
    let mut findings = Vec::new();
    let stat = statvfs(&folder);
    if let Ok(StatVfs { f_frsize, f_bavail, .. }) = stat {
        findings.extend(room(f_frsize.saturating_mul(f_bavail), &folder));
    }
    if let Ok(stat) = statfs(&folder)
        && let Some((_, what)) = DOUBTFUL.iter().find(|(magic, _)| *magic == stat.f_type as i64)
    {
        let remedy = "Let --data-dir lie on a disk of this machine.".to_owned();
        findings.push(warning("doctor.file_system", format!("{shown} lies on {what}"), remedy));
    }
    let synced = sync_time(&folder);
    match &synced {
        Ok(took) if *took > SYNC_WANTED => findings.push(warning(
            "doctor.slow_sync",
            format!("a sync in {shown} takes {} ms, and every acknowledgement waits for one", took.as_millis()),
            "Use a faster disk for --data-dir, or one that other programs do not keep busy.".to_owned(),
        )),
        Ok(_) => {}
        Err(reason) => findings.push(error(
            "doctor.not_writable",
            format!("{shown} cannot be written: {reason}"),
            "Give this user the folder, or name another one with --data-dir.".to_owned(),
        )),
    }
    let free = stat.ok().map(|stat| bytes(stat.f_frsize.saturating_mul(stat.f_bavail)));
    let free = free.map_or_else(String::new, |free| format!(", {free} free"));
    let sync =
        synced.map_or_else(|_| String::new(), |took| format!(", a sync takes {:.1} ms", took.as_secs_f64() * 1e3));
    Look::new("disk", format!("{shown}{free}{sync}"), findings)
}

fn room(free: u64, folder: &Path) -> Option<Finding> {
    let message = || format!("{} has {} left", folder.display(), bytes(free));
    let remedy = || {
        "Make room, or let topics keep less: `towpath topics alter NAME --config retention.ms=…`, or retention.bytes."
            .to_owned()
    };
    match free {
        ..FREE_BYTES_MIN => Some(error("doctor.disk_full", message(), remedy())),
        FREE_BYTES_MIN..FREE_BYTES_WANTED => Some(warning("doctor.disk_full", message(), remedy())),
        _ => None,
    }
}

/// How long a small write takes until it is on the disk: the middle of several, on a file that is gone afterwards.
fn sync_time(folder: &Path) -> std::io::Result<Duration> {
    let path = folder.join(format!(".towpath-doctor-{}", std::process::id()));
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
    let measured = measure(file);
    std::fs::remove_file(&path)?;
    measured
}

fn measure(mut file: File) -> std::io::Result<Duration> {
    let clock = SystemClock::default();
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = clock.monotonic();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        took.push(clock.monotonic().saturating_sub(began));
    }
    took.sort_unstable();
    Ok(took.get(SYNCS / 2).copied().unwrap_or_default())
}

fn ports() -> Look {
    let taken = PORTS.into_iter().filter_map(|(address, flag)| {
        let reason = TcpListener::bind(address).err()?;
        let remedy = format!(
            "End what listens there, or give a worker another place: `{flag} 127.0.0.1:0` lets the system choose."
        );
        Some(warning("doctor.port_taken", format!("a worker could not listen on {address}: {reason}"), remedy))
    });
    let all: Vec<&str> = PORTS.iter().map(|(address, _)| *address).collect();
    Look::new("ports", all.join(", "), taken)
}

fn bytes(bytes: u64) -> String {
    match bytes {
        ..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_looked_at_and_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let look = disk(&folder.path().join("data").join("deep"));
        assert!(look.found.starts_with(&folder.path().display().to_string()), "{}", look.found);
        assert!(look.found.contains("a sync takes"), "{}", look.found);
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0);
    }

    #[test]
    fn little_room_is_told_before_there_is_none() {
        let told = |free| room(free, Path::new("/data")).map(|finding| (finding.severity, finding.message));
        assert_eq!(told(100 << 30), None);
        assert_eq!(told(1 << 30), Some((Severity::Warning, "/data has 1.0 GiB left".to_owned())));
        assert_eq!(told(100 << 20), Some((Severity::Error, "/data has 100 MiB left".to_owned())));
    }
}
