//! Looks at everything and makes the plan of a repair: what is cut, what is built anew, what is set aside.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};

use towpath_model::TopicPartition;
use uuid::Uuid;

use super::{Examination, Finding, Remedy, quarantine};
use crate::aborted::{Aborted, Transactions};
use crate::catalog::{Catalog, CatalogTopic};
use crate::checkpoint::{Checkpoint, PartitionPoint, SegmentPoint};
use crate::codec::BatchHeader;
use crate::config::LogConfig;
use crate::error::Error;
use crate::journal::{self, Frames};
use crate::recovery::{manifests, scan};
use crate::segment::{
    Lost, ReadFailure, Rebuilt, SWAP_SUFFIX, Salvage, SegmentReader, aborted_of, file_name, parse_file_name,
};
use crate::vfs::{Open, Vfs};

/// What is to be done.
pub(super) struct Plan {
    pub(super) catalog: Catalog,
    pub(super) checkpoint: Checkpoint,
    pub(super) partitions: Vec<PartitionPlan>,
    /// Where copies of the journal's files go; empty where it is sound.
    pub(super) journal: Vec<(PathBuf, PathBuf)>,
    pub(super) examination: Examination,
}

/// What is to be done in one partition.
pub(super) struct PartitionPlan {
    /// Its place in the checkpoint.
    pub(super) point: usize,
    pub(super) name: TopicPartition,
    pub(super) dir: PathBuf,
    /// Whether compaction, or a repair, may have left gaps.
    pub(super) gaps: bool,
    pub(super) aborted: VecDeque<Aborted>,
    pub(super) segments: Vec<SegmentPlan>,
    /// Indexes of transactions to write.
    pub(super) rebuilt: Vec<Rebuilt>,
    /// Files that are to get another name.
    pub(super) aside: Vec<(PathBuf, PathBuf)>,
}

/// What is to be done about one segment.
pub(super) struct SegmentPlan {
    /// As it can be read: no longer than its file.
    pub(super) readable: SegmentPoint,
    pub(super) end: i64,
    /// What is cut out, and where that is kept.
    pub(super) cuts: Vec<(Lost, Option<PathBuf>)>,
    /// Whether its two indexes are to be built anew.
    pub(super) indexes: bool,
}

/// Topics by id: name and what the catalog says.
type Topics = BTreeMap<Uuid, (String, CatalogTopic)>;

impl Plan {
    /// Looks at everything.
    pub(super) fn make(config: &LogConfig, vfs: &dyn Vfs) -> Result<Self, Error> {
        let (catalog, checkpoint) = manifests(vfs, &config.dir)?;
        let (examination, journal) = (Examination::default(), Vec::new());
        let mut plan = Self { catalog, checkpoint, partitions: Vec::new(), journal, examination };
        let mut topics = Topics::new();
        for (name, topic) in &plan.catalog.topics {
            topics.insert(topic.id()?, (name.clone(), topic.clone()));
        }
        for index in 0..plan.checkpoint.partitions.len() {
            let Some(point) = plan.checkpoint.partitions.get_mut(index) else { break };
            // A topic that was deleted has no claim on its files.
            let Some((name, topic)) = topics.get(&point.topic()?) else { continue };
            let dir = config.dir.join(format!("{name}-{}", point.partition));
            let name = TopicPartition::new(name.as_str(), point.partition);
            let look = Look { vfs, name, dir, gaps: topic.gaps, examination: &mut plan.examination };
            plan.partitions.push(look.partition(index, point)?);
        }
        if !plan.checkpoint.clean {
            plan.look_at_journal(config, vfs, &topics)?;
        }
        Ok(plan)
    }

    fn look_at_journal(&mut self, config: &LogConfig, vfs: &dyn Vfs, topics: &Topics) -> Result<(), Error> {
        let dir = config.dir.join("journal");
        let scan = scan(vfs, &config.dir, &self.checkpoint)?;
        let salvaged = scan.salvage();
        let gaps = self.count_frames(&dir, &salvaged.frames, topics)?;
        let Err(damage) = scan.finish(&dir) else { return Ok(()) };
        let names = journal::file_names(vfs, &dir).map_err(|error| Error::io("reading the journal", error))?;
        self.journal =
            names.iter().map(|name| dir.join(name)).map(|path| (path.clone(), quarantine(vfs, &path, ""))).collect();
        let kept = self.journal.first().map(|(_, kept)| kept.clone());
        let missing = salvaged.missing.len();
        self.examination.findings.push(Finding {
            partition: None,
            file: dir.clone(),
            reason: format!("{damage}; {missing} of them cannot be read, with the group offsets in them"),
            remedy: Remedy::Cut { lost: 0..0, quarantine: kept.clone() },
        });
        for (name, lost) in gaps {
            let remedy = Remedy::Cut { lost, quarantine: kept.clone() };
            let reason = "its records were in a commit that cannot be read".to_owned();
            self.examination.findings.push(Finding { partition: Some(name), file: dir.clone(), reason, remedy });
        }
        Ok(())
    }

    /// Counts what the journal holds. What is missing between records of a partition.
    fn count_frames(
        &mut self,
        dir: &Path,
        frames: &Frames,
        topics: &Topics,
    ) -> Result<Vec<(TopicPartition, Range<i64>)>, Error> {
        let mut ends = BTreeMap::new();
        for point in &self.checkpoint.partitions {
            ends.insert((point.topic()?, point.partition), point.end);
        }
        let mut gaps = Vec::new();
        for (_, frame) in frames {
            for entry in journal::entries(frame).map_err(|damage| Error::corrupt(dir.display(), damage))? {
                let Some((topic, ..)) = topics.get(&entry.topic) else { continue };
                let end = ends.entry((entry.topic, entry.partition)).or_insert(0);
                if *end < entry.header.base_offset {
                    gaps.push((TopicPartition::new(topic.as_str(), entry.partition), *end..entry.header.base_offset));
                }
                *end = entry.header.next_offset();
                self.examination.batches += 1;
                self.examination.records += u64::from(entry.header.records.unsigned_abs());
                self.examination.bytes += entry.header.bytes as u64;
            }
        }
        Ok(gaps)
    }
}

/// A look at one partition.
struct Look<'a> {
    vfs: &'a dyn Vfs,
    name: TopicPartition,
    dir: PathBuf,
    gaps: bool,
    examination: &'a mut Examination,
}

impl Look<'_> {
    fn partition(mut self, index: usize, point: &mut PartitionPoint) -> Result<PartitionPlan, Error> {
        self.examination.partitions += 1;
        let mut transactions = Transactions::default();
        let mut built = Vec::with_capacity(point.segments.len());
        let mut segments = Vec::with_capacity(point.segments.len());
        for (segment, end) in point.with_ends() {
            let mut entries = Vec::new();
            let complete = end != point.end;
            let planned = self.segment(segment, end, complete, |header, batch| {
                if header.base_offset >= point.cleaned
                    && let Ok(Some(aborted)) = transactions.apply(header, batch)
                {
                    aborted.write(&mut entries);
                }
                Ok(())
            })?;
            built.push(entries);
            segments.push(planned);
        }
        let (aborted, rebuilt) = aborted_of(self.vfs, &self.dir, point, |_| Ok(built))?;
        for index in &rebuilt {
            self.found(index.path.clone(), "it is not what the checkpoint lists".to_owned(), Remedy::Rebuild);
        }
        let aside = self.strays()?;
        let Self { name, dir, gaps, .. } = self;
        Ok(PartitionPlan { point: index, name, dir, gaps, aborted, segments, rebuilt, aside })
    }

    fn segment(
        &mut self,
        segment: SegmentPoint,
        end: i64,
        complete: bool,
        each: impl FnMut(&BatchHeader, &[u8]) -> Result<(), Error>,
    ) -> Result<SegmentPlan, Error> {
        self.examination.segments += 1;
        let path = self.dir.join(file_name(segment.base, "log"));
        let (salvage, bytes) = match SegmentReader::open(self.vfs, &self.dir, segment, end, self.gaps) {
            Ok(mut reader) => {
                let bytes = reader.shorten()?;
                (reader.salvage(complete, each)?, bytes)
            }
            Err(ReadFailure::Gone) => (Salvage { next: segment.base, ..Salvage::default() }, 0),
            Err(ReadFailure::Error(error)) => return Err(error),
        };
        let Salvage { batches, records, bytes: sound, mut lost, next, wrong_indexes } = salvage;
        self.examination.batches += batches;
        self.examination.records += records;
        self.examination.bytes += sound;
        if bytes < segment.bytes && next < end {
            // What ends too early does so because of that.
            lost.retain(|lost| !lost.bytes.is_empty());
            let reason = format!("the file has {bytes} bytes of {}", segment.bytes);
            lost.push(Lost { bytes: bytes..bytes, offsets: next..end, reason });
        }
        let mut cuts = Vec::with_capacity(lost.len());
        for lost in lost {
            let kept = quarantine(self.vfs, &path, &format!(".{}", lost.bytes.start));
            let kept = (!lost.bytes.is_empty()).then_some(kept);
            let remedy = Remedy::Cut { lost: lost.offsets.clone(), quarantine: kept.clone() };
            self.found(path.clone(), lost.reason.clone(), remedy);
            cuts.push((lost, kept));
        }
        let indexes = cuts.is_empty() && !wrong_indexes.is_empty();
        if indexes {
            for extension in wrong_indexes {
                let path = self.dir.join(file_name(segment.base, extension));
                self.found(path, "it is missing or does not say what the batches say".to_owned(), Remedy::Rebuild);
            }
        }
        Ok(SegmentPlan { readable: SegmentPoint { bytes, ..segment }, end, cuts, indexes })
    }

    /// Files that nothing of ours is called.
    fn strays(&mut self) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
        let own = |name: &str| {
            parse_file_name(name).is_some()
                || matches!(name, "partition.metadata" | "leader-epoch-checkpoint")
                || name.ends_with(".quarantine")
                || name.ends_with(SWAP_SUFFIX)
        };
        let names = match self.vfs.list(&self.dir) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io(format!("reading {}", self.dir.display()), error)),
        };
        let unknown: Vec<PathBuf> = names.iter().filter(|name| !own(name)).map(|name| self.dir.join(name)).collect();
        let mut strays = Vec::new();
        for path in unknown {
            if self.vfs.open(&path, Open::Read).is_ok() {
                let kept = quarantine(self.vfs, &path, "");
                self.found(path.clone(), "it is no part of the log".to_owned(), Remedy::SetAside(kept.clone()));
                strays.push((path, kept));
            }
        }
        Ok(strays)
    }

    fn found(&mut self, file: PathBuf, reason: String, remedy: Remedy) {
        self.examination.findings.push(Finding { partition: Some(self.name.clone()), file, reason, remedy });
    }
}
