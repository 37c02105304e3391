//! Carries out the plan of a repair, in an order in which a crash at any moment leaves the old log or the mended one.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use towpath_model::Clock;

use super::Examination;
use super::examine::{PartitionPlan, Plan, SegmentPlan};
use crate::aborted::Aborted;
use crate::checkpoint::{PartitionPoint, SegmentPoint};
use crate::codec::{BatchHeader, set_base_offset, set_leader_epoch, write_marker};
use crate::config::LogConfig;
use crate::error::Error;
use crate::open::run;
use crate::recovery::{Missing, recover};
use crate::segment::{Appender, ReadFailure, SegmentReader, finish_swap};
use crate::topic_config::TopicSettings;
use crate::vfs::{Open, Vfs, read_full_at, write_all_at};

const COPIED_AT_ONCE: usize = 1 << 20;

impl Plan {
    pub(super) fn carry_out(
        mut self,
        config: LogConfig,
        vfs: Arc<dyn Vfs>,
        clock: Arc<dyn Clock>,
        seed: u64,
    ) -> Result<Examination, Error> {
        let dir = config.dir.clone();
        for (from, to) in &self.journal {
            copy(vfs.as_ref(), from, to, 0..u64::MAX)?;
        }
        for partition in std::mem::take(&mut self.partitions) {
            let failed = |error| Error::io(format!("mending {}", partition.dir.display()), error);
            for (from, to) in &partition.aside {
                vfs.rename(from, to).and_then(|()| vfs.sync_dir(&partition.dir)).map_err(failed)?;
            }
            let Some(point) = self.checkpoint.partitions.get_mut(partition.point) else { continue };
            let Some(topic) = self.catalog.topics.get_mut(partition.name.topic.as_ref()) else { continue };
            finish_swap(vfs.as_ref(), &partition.dir, &point.segments).map_err(failed)?;
            partition.rebuild_indexes(vfs.as_ref())?;
            if partition.segments.iter().any(|segment| !segment.cuts.is_empty()) {
                let settings = TopicSettings::parse(&topic.configs)?;
                point.segments = partition.mend(vfs.as_ref(), &settings, point)?;
                topic.gaps = true;
            }
            for rebuilt in &partition.rebuilt {
                rebuilt.write(vfs.as_ref()).and_then(|()| vfs.sync_dir(&partition.dir)).map_err(failed)?;
            }
        }
        // Gaps are allowed before there are any.
        self.catalog.write(vfs.as_ref(), &dir)?;
        self.checkpoint.write(vfs.as_ref(), &dir)?;
        let recovered = recover(vfs.as_ref(), &config, clock.now_ms(), Missing::PassedOver)?;
        if self.journal.is_empty() {
            recovered.clean_up(vfs.as_ref(), &dir)?;
        } else {
            recovered.catalog.write(vfs.as_ref(), &dir)?;
            run(config, vfs, clock, recovered, seed)?.checkpoint(true)?;
        }
        Ok(self.examination)
    }
}

impl PartitionPlan {
    fn rebuild_indexes(&self, vfs: &dyn Vfs) -> Result<(), Error> {
        for segment in self.segments.iter().filter(|segment| segment.indexes) {
            match SegmentReader::open(vfs, &self.dir, segment.readable, segment.end, self.gaps) {
                Ok(reader) => reader.rebuild_indexes()?,
                Err(ReadFailure::Gone) => {}
                Err(ReadFailure::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes damaged segments anew beside the old, without what is lost. All segments then.
    fn mend(
        &self,
        vfs: &dyn Vfs,
        settings: &TopicSettings,
        point: &PartitionPoint,
    ) -> Result<Vec<SegmentPoint>, Error> {
        let mut segments = Vec::with_capacity(point.segments.len());
        for (segment, listed) in self.segments.iter().zip(&point.segments) {
            if segment.cuts.is_empty() {
                segments.push(*listed);
            } else {
                segments.extend(self.rewrite(vfs, settings, segment, point)?);
            }
        }
        Ok(segments)
    }

    fn rewrite(
        &self,
        vfs: &dyn Vfs,
        settings: &TopicSettings,
        segment: &SegmentPlan,
        point: &PartitionPoint,
    ) -> Result<Vec<SegmentPoint>, Error> {
        let failed = |error| Error::io(format!("mending {}", self.dir.display()), error);
        let reader = match SegmentReader::open(vfs, &self.dir, segment.readable, segment.end, self.gaps) {
            Ok(reader) => reader,
            Err(ReadFailure::Gone) => return Ok(Vec::new()),
            Err(ReadFailure::Error(error)) => return Err(error),
        };
        for (lost, kept) in &segment.cuts {
            if let Some(kept) = kept {
                copy(vfs, &reader.path("log"), kept, lost.bytes.clone())?;
            }
        }
        let mut appender = Appender::beside(vfs, &self.dir, settings);
        let here = |aborted: &&Aborted| (segment.readable.base..segment.end).contains(&aborted.last_offset);
        let mut aborted = self.aborted.iter().filter(here).peekable();
        let write_lost_marker = |appender: &mut Appender<'_>, aborted: &Aborted| {
            let batch = marker(aborted, segment.readable.max_timestamp, point)?;
            let header = BatchHeader::parse(&batch).map_err(io::Error::other)?;
            appender.append(&header, &batch, Some(aborted))
        };
        reader.salvage(true, |header, batch| {
            // A client leaves out a producer's records until it meets the marker: one that is lost is written again.
            while let Some(lost) = aborted.next_if(|aborted| aborted.last_offset < header.base_offset) {
                write_lost_marker(&mut appender, lost).map_err(failed)?;
            }
            let ended = aborted.next_if(|aborted| aborted.last_offset == header.last_offset());
            appender.append(header, batch, ended).map_err(failed)
        })?;
        aborted.try_for_each(|lost| write_lost_marker(&mut appender, lost)).map_err(failed)?;
        let (segments, files) = appender.finish().map_err(failed)?;
        files.files.iter().try_for_each(|file| file.sync()).and_then(|()| vfs.sync_dir(&self.dir)).map_err(failed)?;
        Ok(segments)
    }
}

/// The marker that ended an aborted transaction, as far as it is known.
fn marker(aborted: &Aborted, timestamp: i64, point: &PartitionPoint) -> io::Result<Vec<u8>> {
    let mut batch = Vec::new();
    write_marker((aborted.producer_id, 0), false, timestamp, &mut batch)?;
    set_base_offset(&mut batch, aborted.last_offset);
    let epoch = point.leader_epochs.iter().rev().find(|(_, start)| *start <= aborted.last_offset);
    set_leader_epoch(&mut batch, epoch.map_or(0, |(epoch, _)| *epoch));
    Ok(batch)
}

/// Copies a stretch of a file, durably.
fn copy(vfs: &dyn Vfs, from: &Path, to: &Path, bytes: Range<u64>) -> Result<(), Error> {
    let copy = || {
        let (from, copy) = (vfs.open(from, Open::Read)?, vfs.open(to, Open::Create)?);
        let mut at = bytes.start;
        let mut buffer = vec![0; COPIED_AT_ONCE];
        while at < bytes.end {
            let wanted = usize::try_from(bytes.end - at).unwrap_or(COPIED_AT_ONCE).min(COPIED_AT_ONCE);
            let read = read_full_at(from.as_ref(), buffer.get_mut(..wanted).unwrap_or_default(), at)?;
            write_all_at(copy.as_ref(), buffer.get(..read).unwrap_or_default(), at - bytes.start)?;
            at += read as u64;
            if read < wanted {
                break;
            }
        }
        copy.sync()?;
        to.parent().map_or(Ok(()), |dir| vfs.sync_dir(dir))
    };
    copy().map_err(|error| Error::io(format!("writing {}", to.display()), error))
}
