//! From a directory to a running core: lock, format, recovery, and the first checkpoint under a new epoch, after which every
//! journal file is free. A new directory becomes a log in the moment its `meta.properties` is durable.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};
use std::sync::{Arc, Condvar, Mutex, RwLock};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use towpath_model::Clock;

use crate::catalog::Catalog;
use crate::checkpoint::Checkpoint;
use crate::config::{LogConfig, OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::core::{CatalogState, Chores, Core, Maintenance, Sequencer};
use crate::engine::NewTopic;
use crate::error::Error;
use crate::journal::JournalWriter;
use crate::metrics::Counters;
use crate::recovery::{Missing, Recovered, recover};
use crate::sync::{lock, write};
use crate::topic_config::TopicSettings;
use crate::vfs::{Open, Vfs, VfsFile, read_whole, write_all_at};

const FORMAT: u32 = 1;
const META_FILE: &str = "meta.properties";
const LOCK_FILE: &str = ".lock";
const JOURNAL_DIR: &str = "journal";

/// The directory's lock, held as long as this lives.
pub(crate) type LockFile = Arc<dyn VfsFile>;

/// Opens a directory to write and read it.
pub(crate) fn writable(
    config: LogConfig,
    vfs: Arc<dyn Vfs>,
    clock: Arc<dyn Clock>,
    seed: u64,
) -> Result<(Arc<Core>, LockFile), Error> {
    let dir = config.dir.clone();
    vfs.create_dir(&dir.join(JOURNAL_DIR)).map_err(|error| Error::io(format!("opening {}", dir.display()), error))?;
    let lock_file = locked(vfs.as_ref(), &dir, Open::WriteOrCreate)?;
    if !check_format(vfs.as_ref(), &dir)? {
        create(vfs.as_ref(), &dir, seed)?;
    }
    let recovered = recover(vfs.as_ref(), &config, clock.now_ms(), Missing::Refused)?;
    let core = run(config, vfs, clock, recovered, seed)?;
    let own = [
        (OFFSETS_TOPIC, core.config.offsets_topic_partitions),
        (TRANSACTIONS_TOPIC, core.config.transactions_topic_partitions),
    ];
    for (name, partitions) in own {
        if core.topic(name).is_none() {
            create_own_topic(&core, name, partitions)?;
        }
    }
    Ok((core, lock_file))
}

/// Begins a new run of the engine on what was recovered, with a checkpoint under its own epoch.
pub(crate) fn run(
    config: LogConfig,
    vfs: Arc<dyn Vfs>,
    clock: Arc<dyn Clock>,
    recovered: Recovered,
    seed: u64,
) -> Result<Arc<Core>, Error> {
    let dir = config.dir.clone();
    recovered.clean_up(vfs.as_ref(), &dir)?;
    // Every open counts, so that neither frames nor ids of one run can be taken for another's.
    let run = (recovered.checkpoint.epoch >> 32) + 1;
    let mut random = StdRng::seed_from_u64(seed ^ run.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let epoch = run << 32 | u64::from(random.next_u32());
    let core = core(config, vfs.clone(), clock, recovered, (epoch, random))?;
    lock(&core.maintenance).dirty = true;
    core.checkpoint(false)?;
    let sizes = (core.config.journal_file_bytes, core.config.journal_bytes_max);
    let journal = JournalWriter::open(vfs, dir.join(JOURNAL_DIR), sizes, epoch);
    *lock(&core.journal) =
        Some(journal.map_err(|error| Error::io(format!("opening the journal in {}", dir.display()), error))?);
    core.hold_reserve();
    Ok(core)
}

/// Creates a topic for the log's own state, as Kafka has it.
fn create_own_topic(core: &Core, name: &str, partitions: i32) -> Result<(), Error> {
    let configs = [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", "104857600")];
    let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    core.create_topic(NewTopic { name: name.into(), partitions: Some(partitions), configs }).map(|_| ())
}

/// Opens a directory to read it.
pub(crate) fn read_only(
    config: LogConfig,
    vfs: Arc<dyn Vfs>,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<Core>, LockFile), Error> {
    let lock_file = existing(vfs.as_ref(), &config.dir, Open::Read)?;
    let recovered = recover(vfs.as_ref(), &config, clock.now_ms(), Missing::Refused)?;
    let epoch = recovered.checkpoint.epoch;
    let core = core(config, vfs, clock, recovered, (epoch, StdRng::seed_from_u64(0)))?;
    lock(&core.sequencer).read_only = true;
    Ok((core, lock_file))
}

fn core(
    config: LogConfig,
    vfs: Arc<dyn Vfs>,
    clock: Arc<dyn Clock>,
    recovered: Recovered,
    (epoch, random): (u64, StdRng),
) -> Result<Arc<Core>, Error> {
    let Recovered { catalog, checkpoint, partitions, visible, .. } = recovered;
    // Frames that nobody was told of may have been lost, with records that clients take for sent.
    let leader_epoch = checkpoint.leader_epoch.saturating_add(i32::from(!checkpoint.clean));
    let core = Core {
        config,
        vfs,
        clock,
        epoch,
        leader_epoch,
        topics: RwLock::default(),
        catalog: Mutex::new(CatalogState { catalog: catalog.clone(), random }),
        topic_changes: watch::Sender::new(0),
        ahead: Mutex::default(),
        sequencer: Mutex::new(Sequencer::default()),
        work: Condvar::new(),
        journal: Mutex::new(None),
        visible: RwLock::new(visible),
        tail_bytes: AtomicUsize::new(0),
        maintenance: Mutex::new(Maintenance { sequence: checkpoint.sequence, ..Maintenance::default() }),
        chores: Mutex::new(Chores::default()),
        chore: Condvar::new(),
        compaction: Condvar::new(),
        ending: AtomicBool::new(false),
        fetch_turn: AtomicUsize::new(0),
        failed: watch::Sender::new(None),
        counters: Counters::default(),
        producer_ids: AtomicU32::new(0),
    };
    let mut topics = BTreeMap::new();
    for (name, stored) in &catalog.topics {
        let settings = TopicSettings::parse(&stored.configs)?;
        let mut entry =
            core.new_entry(name, stored.id()?, (stored.partitions, stored.configs.clone()), settings, &partitions);
        entry.gaps |= stored.gaps;
        topics.insert(entry.topic.name.clone(), Arc::new(entry));
    }
    *write(&core.topics) = topics;
    Ok(Arc::new(core))
}

/// Locks a directory that is a log already: with [`Open::Read`] together with other readers, else alone.
pub(crate) fn existing(vfs: &dyn Vfs, dir: &Path, how: Open) -> Result<LockFile, Error> {
    let lock_file = locked(vfs, dir, how)?;
    match check_format(vfs, dir)? {
        true => Ok(lock_file),
        false => Err(Error::corrupt(dir.join(META_FILE).display(), "the file is missing")),
    }
}

fn locked(vfs: &dyn Vfs, dir: &Path, how: Open) -> Result<LockFile, Error> {
    let opened = vfs.open(&dir.join(LOCK_FILE), how);
    let file = opened.map_err(|error| Error::io(format!("opening {}", dir.display()), error))?;
    match file.try_lock(how != Open::Read) {
        Ok(true) => Ok(file),
        Ok(false) => Err(Error::Locked(dir.display().to_string())),
        Err(error) => Err(Error::io(format!("locking {}", dir.display()), error)),
    }
}

/// Whether the directory is a log already, and of a format that is known.
fn check_format(vfs: &dyn Vfs, dir: &Path) -> Result<bool, Error> {
    let path = dir.join(META_FILE);
    let failed = |error| Error::io(format!("reading {}", path.display()), error);
    let content = match vfs.open(&path, Open::Read) {
        Ok(file) => read_whole(file.as_ref()).map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // A crash while the directory was made leaves an empty catalog at most.
            let topics = Catalog::read(vfs, dir)?.map_or(0, |catalog| catalog.topics.len());
            return if topics == 0 { Ok(false) } else { Err(Error::corrupt(path.display(), "the file is missing")) };
        }
        Err(error) => return Err(failed(error)),
    };
    let text = String::from_utf8_lossy(&content);
    let format =
        text.lines().find_map(|line| line.strip_prefix("format=")).and_then(|format| format.trim().parse::<u32>().ok());
    match format {
        Some(found) if found > FORMAT => {
            Err(Error::UnsupportedFormat { place: path.display().to_string(), found, known: FORMAT })
        }
        Some(_) => Ok(true),
        None => Err(Error::corrupt(path.display(), "it names no format")),
    }
}

/// Makes a directory a log.
fn create(vfs: &dyn Vfs, dir: &Path, seed: u64) -> Result<(), Error> {
    let failed = |error| Error::io(format!("creating {}", dir.display()), error);
    let mut random = [0; 16];
    StdRng::seed_from_u64(seed).fill_bytes(&mut random);
    let cluster_id = uuid::Builder::from_random_bytes(random).into_uuid();
    let catalog = Catalog { cluster_id: crate::checkpointer::kafka_uuid(cluster_id), topics: BTreeMap::new() };
    catalog.write(vfs, dir)?;
    Checkpoint { clean: true, ..Checkpoint::default() }.write(vfs, dir)?;
    let write = || {
        let path = dir.join(META_FILE);
        let beside = dir.join("meta.properties.tmp");
        let file = vfs.open(&beside, Open::Create)?;
        write_all_at(
            file.as_ref(),
            format!("# A Towpath log; see runtime/log/FORMAT.md.\nformat={FORMAT}\n").as_bytes(),
            0,
        )?;
        file.sync()?;
        vfs.rename(&beside, &path)?;
        vfs.sync_dir(dir)?;
        dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), |parent| vfs.sync_dir(parent))
    };
    write().map_err(failed)
}
