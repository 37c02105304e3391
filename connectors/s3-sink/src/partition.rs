//! One topic partition: what is open, what waits to be uploaded, and what may be committed.
//!
//! ```text
//! assigned at C ─► records open a group ─► full, or its time is up: closed ─► announced ─► swept ─► complete ─► committed
//! ```
//!
//! A group is the objects of a stretch of offsets: one, or as many as there are topics that transforms route the records to.
//! Why every offset ends up in exactly one object (invariants 1, 2 and 3):
//! - An object's name is its first offset, and replay from the committed offset C writes nothing that begins before C.
//! - At most one group beyond C is ever complete. So a crash leaves objects that begin at or after C, and these only.
//! - Before anything is completed or passed over, what begins between C and its end and is not of this attempt is swept away.
//! - Folders are committed before objects go there, so a sweep knows all folders, whatever was configured before.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use towpath_model::{Payload, Position};

use crate::name;
use crate::object::{Fault, Object};
use crate::place::{self, Folders};
use crate::store::{Store, StoreError, Upload};
use crate::{Counts, Error, NullValues, Settings};

/// How many names a sweep asks for at a time.
const PAGE: u32 = 1000;
/// No object grows beyond: S3 takes 10,000 parts.
const OBJECT_BYTES_MAX: u64 = 5 << 30;

pub(crate) struct Partition<U> {
    pub(crate) topic: Arc<str>,
    pub(crate) number: i32,
    /// Where a replay would begin.
    committed: i64,
    /// The next offset that is news; replays of lower ones are passed over.
    next: i64,
    /// Folders that the committed metadata names.
    folders: Folders,
    /// The answer of the last flush: committed as soon as there is another flush.
    reported: Option<(i64, Folders)>,
    /// Folders known to hold nothing beyond what this attempt wrote.
    swept: BTreeSet<String>,
    groups: VecDeque<Group<U>>,
    flow: Flow,
}

/// Objects of a stretch of offsets.
struct Group<U> {
    objects: Vec<Object<U>>,
    first_offset: i64,
    /// The offset after its last record.
    end: i64,
    opened_ms: i64,
    closed: bool,
}

/// Whether records are taken.
enum Flow {
    Normal,
    /// Something buffered is lost; the flush after the one that tells of it asks for a rewind.
    Lost {
        first_offset: i64,
        reason: StoreError,
        told: bool,
    },
    /// A rewind was asked for; the next record is at or before this offset.
    Rewound {
        first_offset: i64,
    },
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Written,
    /// Its value is null, and such are left out.
    Ignored,
}

/// The worker went on where it was asked to go back.
#[derive(Debug)]
pub(crate) struct NotRewound;

impl<U: Upload> Partition<U> {
    pub(crate) fn new(position: &Position, folders: Folders) -> Self {
        Self {
            topic: position.topic.clone(),
            number: position.partition,
            committed: position.offset,
            next: position.offset,
            folders,
            reported: None,
            swept: BTreeSet::new(),
            groups: VecDeque::new(),
            flow: Flow::Normal,
        }
    }

    /// Whether a record with this offset is news, and where the worker was asked to go back, whether it did.
    pub(crate) fn expects(&mut self, offset: i64) -> Result<bool, NotRewound> {
        match self.flow {
            Flow::Lost { .. } => return Ok(false),
            Flow::Rewound { first_offset } if offset > first_offset => return Err(NotRewound),
            Flow::Rewound { .. } => self.flow = Flow::Normal,
            Flow::Normal => {}
        }
        Ok(offset >= self.next)
    }

    /// Takes a record that is news.
    pub(crate) fn append(
        &mut self,
        settings: &Settings,
        topic: &str,
        offset: i64,
        value: Payload<'_>,
        now_ms: i64,
    ) -> Result<Taken, Error> {
        // Also a refused record is dealt with: it must not come again with the next batch.
        self.next = offset + 1;
        match (value.bytes, settings.null_values) {
            (None, NullValues::Ignore) => return Ok(Taken::Ignored),
            (None, NullValues::Fail) => return Err(Error::Null),
            _ => {}
        }
        if self.groups.back().is_none_or(|group| group.closed || settings.is_due(group.opened_ms, now_ms)) {
            self.close_last();
            self.groups.push_back(Group::new(offset, now_ms));
        }
        let group = self.groups.back_mut().expect("a group was opened if there was none");
        let object = group.object(settings, topic, (&self.topic, self.number), offset);
        let appended = object.append(settings.format, value);
        let full = object.records >= settings.flush_size || object.total_bytes() >= OBJECT_BYTES_MAX;
        match &appended {
            Ok(()) => group.end = offset + 1,
            Err(_) => group.objects.retain(|object| object.records > 0),
        }
        if group.objects.is_empty() {
            self.groups.pop_back();
        } else if full {
            self.close_last();
        }
        appended.map(|()| Taken::Written)
    }

    /// No record comes to the objects that are open.
    pub(crate) fn close_last(&mut self) {
        if let Some(group) = self.groups.back_mut() {
            group.close();
        }
    }

    /// Memory that all objects hold.
    pub(crate) fn held_bytes(&self) -> usize {
        self.objects().map(Object::held_bytes).sum()
    }

    /// Memory that open objects hold.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open_objects().map(Object::held_bytes).sum()
    }

    /// The most that sending an open object's bytes would free. Closed ones are about to be completed anyway.
    pub(crate) fn largest_open(&self) -> usize {
        self.open_objects().map(Object::ready_bytes).max().unwrap_or(0)
    }

    fn open_objects(&self) -> impl Iterator<Item = &Object<U>> {
        self.groups.back().filter(|group| !group.closed).into_iter().flat_map(|group| &group.objects)
    }

    fn objects(&self) -> impl Iterator<Item = &Object<U>> {
        self.groups.iter().flat_map(|group| &group.objects)
    }

    /// How many uploads are under way.
    pub(crate) fn uploads(&self) -> usize {
        self.objects().filter(|object| object.is_streaming()).count()
    }

    /// Sends the bytes of each object that has at least so many ready, of closed ones `closed_at_least`. Where no further upload
    /// may begin, the objects are closed before their time instead: that changes how many records they have, and nothing else.
    pub(crate) fn stream<S: Store<Upload = U>>(
        &mut self,
        store: &mut S,
        at_least: usize,
        closed_at_least: usize,
        uploads_left: &mut usize,
    ) -> Result<(), StoreError> {
        for group in &mut self.groups {
            let at_least = if group.closed { closed_at_least } else { at_least }.max(1);
            let mut none_left = false;
            for object in group.objects.iter_mut().filter(|object| object.ready_bytes() >= at_least) {
                if !object.is_streaming() {
                    if *uploads_left == 0 {
                        none_left = true;
                        continue;
                    }
                    *uploads_left -= 1;
                }
                match object.stream(store) {
                    Ok(()) => {}
                    Err(Fault::Kept(error)) => return Err(error),
                    Err(Fault::Lost(error)) => {
                        self.lose(error);
                        return Ok(());
                    }
                }
            }
            if none_left {
                group.close();
            }
        }
        Ok(())
    }

    /// Gives up what is buffered; all of it is read again.
    fn lose(&mut self, reason: StoreError) {
        let first_offset = self.groups.front().map_or(self.next, |group| group.first_offset);
        // An upload whose end is unknown may still have become an object, so nothing counts as swept any more.
        self.swept.clear();
        self.groups.clear();
        self.flow = Flow::Lost { first_offset, reason, told: false };
    }

    /// Milliseconds until a flush has something to do.
    pub(crate) fn next_flush_ms(&self, settings: &Settings, now_ms: i64) -> Option<u64> {
        if matches!(self.flow, Flow::Lost { .. }) {
            return Some(0);
        }
        let first = self.groups.front()?;
        if first.closed {
            return Some(0);
        }
        settings.due_in_ms(first.opened_ms, now_ms)
    }

    /// The last answer is committed now.
    pub(crate) fn settle(&mut self) {
        if let Some((offset, folders)) = self.reported.take() {
            self.committed = offset;
            self.folders = folders;
        }
    }

    /// Where the partition stands, to say that it is looked after though it makes no progress.
    pub(crate) fn standing(&self, settings: &Settings) -> Position {
        self.position(self.committed, place::write(&settings.store_name(), &self.folders))
    }

    /// What broke off and was not told yet.
    pub(crate) fn untold_loss(&self) -> Option<StoreError> {
        match &self.flow {
            Flow::Lost { reason, told: false, .. } => Some(reason.clone()),
            _ => None,
        }
    }

    /// The loss is told; from now on a rewind may be asked for.
    pub(crate) fn loss_is_told(&mut self) {
        if let Flow::Lost { told, .. } = &mut self.flow {
            *told = true;
        }
    }

    /// Asks to be read again, when a loss was told.
    pub(crate) fn rewind(&mut self) -> Option<Position> {
        let Flow::Lost { first_offset, told: true, .. } = self.flow else { return None };
        self.flow = Flow::Rewound { first_offset };
        self.next = self.committed;
        Some(self.position(self.committed, String::new()))
    }

    /// Completes the next group that is due, or passes over a stretch without records, or announces the folders that comes
    /// next. The answer is what may be committed.
    pub(crate) fn flush<S: Store<Upload = U>>(
        &mut self,
        store: &mut S,
        settings: &Settings,
        handed_over: Option<i64>,
        now_ms: i64,
        counts: &mut Counts,
    ) -> Result<Option<Position>, StoreError> {
        if !matches!(self.flow, Flow::Normal) {
            return Ok(None);
        }
        let Some(first) = self.groups.front_mut() else {
            return self.pass_over(store, settings, handed_over, counts);
        };
        if !first.closed && !settings.is_due(first.opened_ms, now_ms) {
            return Ok(None);
        }
        first.close();
        let (end, needed) = (first.end, first.folders());
        if !needed.is_subset(&self.folders) {
            let union = self.folders.union(&needed).cloned().collect();
            return Ok(Some(self.report(settings, self.committed, union)));
        }
        self.sweep(store, &needed, end, counts)?;
        if let Err(fault) = self.complete_first(store, counts) {
            return match fault {
                Fault::Kept(error) => Err(error),
                Fault::Lost(error) => {
                    self.lose(error);
                    Ok(None)
                }
            };
        }
        self.groups.pop_front();
        // What lies between this group and the next was ignored or never came here: it is dealt with.
        let offset = match self.groups.front() {
            Some(next) => next.first_offset,
            None => handed_over.unwrap_or(end).max(end),
        };
        let unswept = self.folders.difference(&self.swept).cloned();
        let folders = needed.into_iter().chain(unswept).collect();
        Ok(Some(self.report(settings, offset, folders)))
    }

    /// Nothing is open: whatever was handed over is dealt with.
    fn pass_over<S: Store<Upload = U>>(
        &mut self,
        store: &mut S,
        settings: &Settings,
        handed_over: Option<i64>,
        counts: &mut Counts,
    ) -> Result<Option<Position>, StoreError> {
        let Some(end) = handed_over.filter(|end| *end > self.committed) else { return Ok(None) };
        self.sweep(store, &Folders::new(), end, counts)?;
        Ok(Some(self.report(settings, end, self.folders.clone())))
    }

    fn complete_first<S: Store<Upload = U>>(&mut self, store: &mut S, counts: &mut Counts) -> Result<(), Fault> {
        let Some(group) = self.groups.front_mut() else { return Ok(()) };
        let mut bytes = 0;
        for object in &mut group.objects {
            bytes += object.complete(store)?;
        }
        counts.bytes_written += bytes;
        counts.objects_written += group.objects.len() as u64;
        counts.records_written += group.objects.iter().map(|object| object.records).sum::<u64>();
        Ok(())
    }

    /// Removes what an earlier attempt left between the committed offset and `end`, in all folders where there may be some.
    fn sweep<S: Store<Upload = U>>(
        &mut self,
        store: &mut S,
        needed: &Folders,
        end: i64,
        counts: &mut Counts,
    ) -> Result<(), StoreError> {
        let unswept: Vec<String> =
            self.folders.union(needed).filter(|folder| !self.swept.contains(*folder)).cloned().collect();
        for folder in unswept {
            if self.sweep_folder(store, &folder, end, counts)? {
                self.swept.insert(folder);
            }
        }
        Ok(())
    }

    /// Returns whether nothing is left beyond `end` either.
    fn sweep_folder<S: Store<Upload = U>>(
        &self,
        store: &mut S,
        folder: &str,
        end: i64,
        counts: &mut Counts,
    ) -> Result<bool, StoreError> {
        let prefix = name::prefix(folder, &self.topic, self.number);
        let ours: Vec<&str> = self
            .groups
            .front()
            .into_iter()
            .flat_map(|group| &group.objects)
            .map(|object| object.path.as_str())
            .collect();
        let mut after = name::just_before(&prefix, self.committed);
        let sorted = after.is_some();
        let mut clean = true;
        loop {
            let page = store.list(&prefix, after.as_deref(), PAGE)?;
            for path in &page {
                match name::first_offset(&prefix, path) {
                    Some(first) if first >= end => clean = false,
                    // An object of the same name is replaced at once, without a moment in which it is missing.
                    Some(first) if first >= self.committed && !ours.contains(&path.as_str()) => {
                        store.delete(path)?;
                        counts.leftovers_removed += 1;
                    }
                    _ => {}
                }
            }
            match page.last() {
                Some(last) if page.len() >= PAGE as usize && (clean || !sorted) => after = Some(last.clone()),
                _ => return Ok(clean),
            }
        }
    }

    fn report(&mut self, settings: &Settings, offset: i64, folders: Folders) -> Position {
        let metadata = place::write(&settings.store_name(), &folders);
        self.reported = Some((offset, folders));
        self.position(offset, metadata)
    }

    fn position(&self, offset: i64, metadata: String) -> Position {
        Position { topic: self.topic.clone(), partition: self.number, offset, metadata }
    }
}

impl<U: Upload> Group<U> {
    fn new(first_offset: i64, opened_ms: i64) -> Self {
        Self { objects: Vec::new(), first_offset, end: first_offset, opened_ms, closed: false }
    }

    /// Takes no more records. What a compressor holds is given back.
    fn close(&mut self) {
        self.closed = true;
        self.objects.iter_mut().for_each(Object::close);
    }

    /// The object for records routed to `topic`; it begins with this offset when there is none.
    fn object(&mut self, settings: &Settings, topic: &str, origin: (&str, i32), offset: i64) -> &mut Object<U> {
        let at = self.objects.iter().position(|object| object.topic == topic).unwrap_or_else(|| {
            let folder = settings.folder(topic);
            let path = name::path(&name::prefix(&folder, origin.0, origin.1), offset, settings.extension());
            self.objects.push(Object::new(path, topic, &folder, settings.compression));
            self.objects.len() - 1
        });
        &mut self.objects[at]
    }

    fn folders(&self) -> Folders {
        self.objects.iter().map(|object| object.folder.clone()).collect()
    }
}
