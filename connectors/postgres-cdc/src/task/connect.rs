//! What a start begins with: decided from what is stored, what the server has, and what the configuration wants.

use towpath_model::{Fault, Gravity, Reason};

use super::{Phase, Purpose, Task};
use crate::catalog::Slot;
use crate::config::SnapshotMode;
use crate::error::Error;
use crate::network::Level;
use crate::offset::{Event, Offset, Position, SnapshotState, show_lsn};
use crate::safety;
use crate::setup::{self, Created};
use crate::snapshot::Snapshot;
use crate::stream::{Limits, Stream};
use crate::wire::Connection;

impl Task {
    /// Connects, checks everything and begins.
    pub(super) fn connect(&mut self) -> Result<Phase, Error> {
        let server = self.catalog.probe()?;
        let faults = safety::server_faults(&server, &self.settings);
        if let Some(fault) = faults.into_iter().find(|fault| fault.gravity == Gravity::Error) {
            return Err(fault.into());
        }
        if let Some(sql) = setup::ensure_publication(&mut self.catalog, &self.settings)? {
            self.host.log(Level::Info, format_args!("ran {sql}"));
        }
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
        for fault in safety::slot_faults(slot, &self.settings) {
            // What was lost matters once it is known from where the task goes on.
            let is_lost = slot.wal_status == "lost";
            match fault.gravity {
                Gravity::Error if !is_lost || self.offset.is_none() => return Err(fault.into()),
                Gravity::Error | Gravity::Passing => {}
                Gravity::Warning => self.host.log(Level::Warn, format_args!("{}", fault.reason)),
            }
        }
        if let Some(pid) = slot.active_pid {
            let owner = self.catalog.owner(pid)?;
            return Err(safety::slot_busy(&owner, &self.settings).into());
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
            // Nothing was delivered, so that nothing is lost with it.
            (SnapshotMode::WhenNeeded, Some(slot)) if slot.wal_status == "lost" => {
                self.drop_slot();
                self.make(Purpose::Lasting)
            }
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
        let stored = self.position().lsn;
        let Fault { reason, .. } = match slot {
            None => safety::slot_gone(&self.settings, stored),
            Some(slot) if slot.wal_status == "lost" => safety::slot_lost(&self.settings),
            Some(slot) => safety::slot_moved(&self.settings, slot, stored),
        };
        if self.settings.snapshot == SnapshotMode::WhenNeeded {
            self.host.log(Level::Warn, format_args!("{reason}"));
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
            self.host.log(
                Level::Warn,
                format_args!("{}; going on from the slot, as `offset.mismatch.strategy` says", reason.message),
            );
            let state = self.offset.as_ref().map_or(SnapshotState::Completed, |offset| offset.snapshot);
            self.stand_at(slot.confirmed, state);
            return if state == SnapshotState::Running { self.make(Purpose::Passing) } else { self.stream(None) };
        }
        Err(Fault::error("slot.name", reason).into())
    }

    /// Whether a new snapshot takes the place of a stream that can never go on: what was written while the publication was missing
    /// cannot be decoded, also not when it is there again.
    pub(super) fn begins_anew(&mut self, error: &Error) -> bool {
        if self.settings.snapshot != SnapshotMode::WhenNeeded || self.offset.is_none() || !error.is_undecodable() {
            return false;
        }
        self.host.log(Level::Warn, format_args!("{error}. A new snapshot is taken, as `snapshot.mode` says"));
        self.offset = None;
        self.ledger.clear();
        true
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
        replication.answer(limits.wait)?.map(setup::read_created).transpose()
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
        let surroundings = (self.host.clone(), self.clock.clone());
        Stream::start(replication, &self.settings, version, start, self.event, surroundings)
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
            let message =
                format!("the stored offset belongs to another database cluster (system {stored}, not {found})");
            let remedy = "Reset the connector's offsets for a new snapshot, or connect to the cluster they are from.";
            let reason = Reason::coded("postgres.other_cluster", message).remedy(remedy);
            return Err(Fault::error("database.hostname", reason).into());
        }
        offset.system = system;
        Ok(())
    }
}
