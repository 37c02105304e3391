//! What a start begins with: decided from what is stored, what the server has, and what the configuration wants.

use super::{Phase, Purpose, Task};
use crate::catalog::Slot;
use crate::config::SnapshotMode;
use crate::error::Error;
use crate::network::Level;
use crate::offset::{Event, Offset, Position, SnapshotState, show_lsn};
use crate::setup::{self, Created};
use crate::snapshot::Snapshot;
use crate::stream::{Limits, Stream};
use crate::wire::Connection;

impl Task {
    /// Connects, checks everything and begins.
    pub(super) fn connect(&mut self) -> Result<Phase, Error> {
        let server = self.catalog.probe()?;
        if let Some((key, reason)) = setup::check_server(&server, &self.settings).into_iter().next() {
            return Err(Error::Setting { key, reason });
        }
        setup::ensure_publication(&mut self.catalog, &self.settings)?;
        let slot = self.catalog.slot(&self.settings.slot)?;
        if let Some(slot) = &slot {
            self.check_slot(slot)?;
        }
        match self.offset.as_ref().map(|offset| offset.snapshot) {
            None => self.first_start(slot.as_ref()),
            Some(SnapshotState::Running) => self.resume_snapshot(slot.as_ref()),
            Some(_) => self.resume_stream(slot.as_ref()),
        }
    }

    fn check_slot(&mut self, slot: &Slot) -> Result<(), Error> {
        let wrong = |reason: String| Err(Error::Setting { key: "slot.name", reason });
        if slot.plugin != "pgoutput" {
            return wrong(format!("the slot's plugin is `{}`, not pgoutput; choose another name", slot.plugin));
        }
        if slot.database != self.settings.login.database {
            return wrong(format!("the slot belongs to the database `{}`; choose another name", slot.database));
        }
        if let Some(pid) = slot.active_pid {
            let owner = self.catalog.owner(pid)?;
            return Err(Error::Busy(format!("the slot `{}` is in use by {owner}", self.settings.slot)));
        }
        Ok(())
    }

    /// Nothing is delivered yet.
    fn first_start(&mut self, slot: Option<&Slot>) -> Result<Phase, Error> {
        match (self.settings.snapshot, slot) {
            (SnapshotMode::NoData, Some(slot)) => {
                self.stand_at(slot.confirmed, SnapshotState::None);
                self.stream(None)
            }
            // A slot without an offset is one that an operator made, or a crash left before anything was delivered.
            (_, Some(_)) => self.make(Purpose::Passing),
            (_, None) => self.make(Purpose::Lasting),
        }
    }

    /// Part of the snapshot is delivered; the rest is read in a new one, when the stream has come to its place.
    fn resume_snapshot(&mut self, slot: Option<&Slot>) -> Result<Phase, Error> {
        match slot {
            Some(slot) if self.can_serve(slot) => self.make(Purpose::Passing),
            other => self.gap(other),
        }
    }

    fn resume_stream(&mut self, slot: Option<&Slot>) -> Result<Phase, Error> {
        if self.settings.snapshot == SnapshotMode::InitialOnly {
            return Ok(Phase::Finished);
        }
        match slot {
            Some(slot) if self.can_serve(slot) && self.always_due => {
                self.ledger.clear();
                self.make(Purpose::Passing)
            }
            Some(slot) if self.can_serve(slot) => self.stream(None),
            other => self.gap(other),
        }
    }

    fn position(&self) -> Position {
        self.offset.as_ref().map_or(Position::default(), |offset| offset.position)
    }

    /// Whether the slot still has everything after our position. It only ever hears of what is durable, so it can be
    /// beyond our position only when somebody else moved or made it, or when our positions were set back.
    fn can_serve(&self, slot: &Slot) -> bool {
        slot.confirmed <= self.position().lsn && slot.wal_status != "lost"
    }

    /// Changes are missing between our position and what the slot can serve.
    fn gap(&mut self, slot: Option<&Slot>) -> Result<Phase, Error> {
        let name = &self.settings.slot;
        let here = show_lsn(self.position().lsn);
        let what = match slot {
            None => format!("the slot `{name}` is gone"),
            Some(slot) if slot.wal_status == "lost" => format!("the server removed log that the slot `{name}` needs"),
            Some(slot) => format!("the slot `{name}` stands at {}, beyond the stored offset", show_lsn(slot.confirmed)),
        };
        if self.settings.snapshot == SnapshotMode::WhenNeeded {
            self.host
                .log(Level::Warn, format_args!("{what}; changes after {here} are lost, and a new snapshot is taken"));
            self.offset = None;
            self.ledger.clear();
            if let Some(slot) = slot
                && slot.wal_status == "lost"
            {
                self.drop_slot();
                return self.make(Purpose::Lasting);
            }
            return self.first_start(slot);
        }
        if let Some(slot) = slot
            && self.settings.trust_slot
            && slot.wal_status != "lost"
        {
            self.host.log(Level::Warn, format_args!("{what} at {here}; going on from the slot, as configured"));
            let state = self.offset.as_ref().map_or(SnapshotState::Completed, |offset| offset.snapshot);
            self.stand_at(slot.confirmed, state);
            return if state == SnapshotState::Running { self.make(Purpose::Passing) } else { self.stream(None) };
        }
        Err(Error::Fatal(format!(
            "{what}: changes committed after {here} may be missing. Reset the connector's offsets for a new snapshot, set \
             `snapshot.mode` to `when_needed`, or set `offset.mismatch.strategy` to `trust_slot` to go on without them"
        )))
    }

    fn stand_at(&mut self, lsn: u64, snapshot: SnapshotState) {
        let system = self.system.clone();
        let position = Position { lsn, ordinal: 0 };
        self.offset =
            Some(Offset { position, last_commit: None, snapshot, system, taken_over: None, transaction: None });
        self.event = Event { lsn, xid: 0, ts_us: self.clock.now_ms() * 1000, kind: "" };
    }

    /// Begins to make a slot. That may take as long as the transactions last that are open now.
    fn make(&mut self, purpose: Purpose) -> Result<Phase, Error> {
        let mut replication = self.catalog.connect(true)?;
        self.check_system(&mut replication)?;
        let passing = purpose == Purpose::Passing;
        let name = if passing {
            // A name that nobody else has: the process's own number is in it.
            let pid = replication
                .query("SELECT pg_backend_pid()")?
                .into_iter()
                .next()
                .and_then(|mut row| row.pop().flatten());
            let stem: String = self.settings.slot.chars().take(40).collect();
            format!("{stem}_snapshot_{}", pid.unwrap_or_default())
        } else {
            self.settings.slot.clone()
        };
        self.host
            .log(Level::Info, format_args!("making the slot `{name}`, which waits for transactions that are open now"));
        replication.ask(&setup::create_slot(&name, passing, self.settings.failover, self.catalog.version()))?;
        Ok(Phase::Making { replication: Box::new(replication), purpose })
    }

    /// The slot, once it is made.
    pub(super) fn making(&mut self, replication: &mut Connection, limits: Limits) -> Result<Option<Created>, Error> {
        match replication.answer(limits.wait) {
            Ok(answer) => answer.map(setup::read_created).transpose(),
            Err(error) => Err(setup::explain_slot_error(error, &self.settings)),
        }
    }

    pub(super) fn made(
        &mut self,
        replication: Box<Connection>,
        purpose: Purpose,
        created: &Created,
    ) -> Result<Phase, Error> {
        if self.settings.snapshot == SnapshotMode::NoData {
            self.stand_at(created.lsn, SnapshotState::None);
            return self.start_stream(*replication, None).map(|stream| Phase::Streaming(Box::new(stream)));
        }
        let snapshot = Snapshot::import(
            created,
            &mut self.catalog,
            &self.settings,
            &self.ledger,
            self.host.clone(),
            self.clock.clone(),
        )?;
        let snapshot = Box::new(snapshot);
        self.host.log(Level::Info, format_args!("the snapshot stands at {}", show_lsn(created.lsn)));
        match (&mut self.offset, purpose) {
            (Some(offset), _) => {
                offset.snapshot = SnapshotState::Running;
                // The passing slot has done its work; the lasting one is streamed up to the snapshot's place.
                replication.close();
                let until = Some(created.lsn);
                let replication = self.catalog.connect(true)?;
                let stream = Box::new(self.start_stream(replication, until)?);
                Ok(Phase::Heading { stream, snapshot })
            }
            (None, Purpose::Passing) => {
                replication.close();
                self.stand_at(created.lsn, SnapshotState::Running);
                Ok(Phase::Reading { snapshot, replication: None })
            }
            (None, Purpose::Lasting) => {
                self.stand_at(created.lsn, SnapshotState::Running);
                Ok(Phase::Reading { snapshot, replication: Some(replication) })
            }
        }
    }

    fn stream(&mut self, until: Option<u64>) -> Result<Phase, Error> {
        let mut replication = self.catalog.connect(true)?;
        self.check_system(&mut replication)?;
        let stream = self.start_stream(replication, until)?;
        Ok(Phase::Streaming(Box::new(stream)))
    }

    fn start_stream(&mut self, replication: Connection, until: Option<u64>) -> Result<Stream, Error> {
        let start = self.start(until);
        self.writer.set_transaction(self.offset.as_ref().and_then(|offset| offset.transaction.clone()));
        let version = self.catalog.version();
        Stream::start(replication, &self.settings, version, start, self.event, self.clock.clone())
            .map_err(|error| setup::explain_slot_error(error, &self.settings))
    }

    /// Positions of one cluster mean nothing in another.
    fn check_system(&mut self, replication: &mut Connection) -> Result<(), Error> {
        let rows = replication.query("IDENTIFY_SYSTEM")?;
        let system = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        self.system.clone_from(&system);
        let Some(offset) = &mut self.offset else { return Ok(()) };
        if let (Some(stored), Some(found)) = (&offset.system, &system)
            && stored != found
        {
            return Err(Error::Fatal(format!(
                "the stored offset belongs to another database cluster (system {stored}, not {found}); \
                 reset the connector's offsets, or connect to the cluster they are from"
            )));
        }
        offset.system = system;
        Ok(())
    }
}
