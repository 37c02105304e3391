//! What is wrong in the directory of a stopped log, and how it is mended.
//!
//! ```text
//! examine ── manifests, every batch, every index, the journal ──> findings          nothing is changed
//! repair  ── the same ──> copies of what is cut ──> segments beside the old ──> checkpoint ──> renames ──> opened once
//! ```
//! What only repeats something is built anew. What is lost is cut out, kept in a `.quarantine` file beside, and leaves a gap: the
//! offsets of all other records stay. A crash on the way leaves the log as it was or mended, because the checkpoint decides as it
//! does for compaction. Damage to the catalog or to the checkpoint itself is not mended.

mod examine;
mod mend;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use towpath_model::{Clock, TopicPartition};

use crate::config::LogConfig;
use crate::error::Error;
use crate::open::existing;
use crate::vfs::{Open, Vfs};

use examine::Plan;

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// Partitions that hold something.
    pub partitions: usize,
    /// Segments.
    pub segments: usize,
    /// Batches that are sound.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The partition; none for the journal as a whole.
    pub partition: Option<TopicPartition>,
    /// The file or directory.
    pub file: PathBuf,
    /// What is wrong.
    pub reason: String,
    /// What a repair does about it.
    pub remedy: Remedy,
}

/// What a repair does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It follows from the records and is built anew. Nothing is lost.
    Rebuild,
    /// It cannot be read and is cut out.
    Cut {
        /// The offsets that are lost; empty where none is known.
        lost: Range<i64>,
        /// Where its bytes are kept; none where there are none.
        quarantine: Option<PathBuf>,
    },
    /// It is no part of the log and gets another name.
    SetAside(PathBuf),
}

impl Examination {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many offsets a repair gives up.
    pub fn lost(&self) -> i64 {
        let lost = |finding: &Finding| match &finding.remedy {
            Remedy::Cut { lost, .. } => lost.end - lost.start,
            Remedy::Rebuild | Remedy::SetAside(_) => 0,
        };
        self.findings.iter().map(lost).sum()
    }
}

/// Reads everything in the directory of a stopped log. Nothing is changed; blocks for as long as reading takes.
///
/// # Errors
/// [`Error::Locked`] while a process has it open to write, [`Error::Corrupt`] where catalog or checkpoint do not read, or the disk's.
pub fn examine(config: &LogConfig, vfs: &dyn Vfs) -> Result<Examination, Error> {
    let _lock = existing(vfs, &config.dir, Open::Read)?;
    Plan::make(config, vfs).map(|plan| plan.examination)
}

/// Mends what [`examine`] finds, and says what that was. The log opens afterwards.
///
/// # Errors
/// [`Error::Locked`] while another process has it open, [`Error::Corrupt`] where catalog or checkpoint do not read, or the disk's; then
/// the log is as it was, and the repair can be tried again.
pub fn repair(config: LogConfig, vfs: Arc<dyn Vfs>, clock: Arc<dyn Clock>, seed: u64) -> Result<Examination, Error> {
    let _lock = existing(vfs.as_ref(), &config.dir, Open::Write)?;
    let plan = Plan::make(&config, vfs.as_ref())?;
    if plan.examination.is_sound() { Ok(plan.examination) } else { plan.carry_out(config, vfs, clock, seed) }
}

/// Where something that is taken out of the log is kept: beside it, under a name that nothing has yet.
fn quarantine(vfs: &dyn Vfs, path: &Path, place: &str) -> PathBuf {
    let name = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{place}{suffix}.quarantine"));
        PathBuf::from(name)
    };
    let suffixes = std::iter::once(String::new()).chain((2..).map(|number: u32| format!(".{number}")));
    let free = suffixes.map(|suffix| name(&suffix)).find(|path| vfs.open(path, Open::Read).is_err());
    free.unwrap_or_else(|| name(""))
}
