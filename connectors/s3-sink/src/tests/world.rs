//! A store in memory with a queue of faults, and small ways to say what is put and what is there.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read as _;
use std::rc::Rc;

use towpath_model::{Batch, BatchBuilder, Form, Position, Run};

use crate::store::{Store, StoreError, Upload};

/// What befalls an operation.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    None,
    /// It fails and has no effect.
    Before(StoreError),
    /// It fails and has its effect.
    After(StoreError),
    /// The process dies just before its effect, or just after.
    Crash {
        with_effect: bool,
    },
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    pub(super) faults: VecDeque<Fault>,
    pub(super) is_dead: bool,
    pub(super) operations: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeStore(pub(super) Rc<RefCell<World>>);

pub(super) fn unavailable() -> StoreError {
    StoreError::Unavailable("503".to_owned())
}

impl FakeStore {
    fn operate(&self, name: &str, effect: impl FnOnce(&mut World)) -> Result<(), StoreError> {
        let mut world = self.0.borrow_mut();
        if world.is_dead {
            return Err(unavailable());
        }
        world.operations.push(name.to_owned());
        match world.faults.pop_front().unwrap_or(Fault::None) {
            Fault::None => effect(&mut world),
            Fault::Before(error) => return Err(error),
            Fault::After(error) => {
                effect(&mut world);
                return Err(error);
            }
            Fault::Crash { with_effect } => {
                if with_effect {
                    effect(&mut world);
                }
                world.is_dead = true;
                return Err(unavailable());
            }
        }
        Ok(())
    }

    pub(super) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.borrow_mut().faults.extend(faults);
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.0.borrow().objects.keys().cloned().collect()
    }

    /// The lines of an object.
    pub(super) fn lines(&self, path: &str) -> Vec<String> {
        let bytes = self.0.borrow().objects[path].clone();
        let mut text = String::new();
        if path.ends_with(".gz") {
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("whole gzip");
        } else {
            text = String::from_utf8(bytes).expect("text");
        }
        text.lines().map(str::to_owned).collect()
    }
}

impl Store for FakeStore {
    type Upload = FakeUpload;

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.operate("put", |world| {
            world.objects.insert(path.to_owned(), bytes.to_vec());
        })
    }

    fn upload(&mut self, path: &str) -> Result<FakeUpload, StoreError> {
        self.operate("upload", |_| {})?;
        Ok(FakeUpload { store: self.clone(), path: path.to_owned(), bytes: Vec::new() })
    }

    fn list(&mut self, prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        self.operate("list", |world| {
            let after = |path: &&String| after.is_none_or(|after| path.as_str() > after);
            let paths = world.objects.keys().filter(|path| path.starts_with(prefix)).filter(after);
            found = paths.take(max as usize).cloned().collect();
        })?;
        Ok(found)
    }

    fn delete(&mut self, path: &str) -> Result<(), StoreError> {
        self.operate("delete", |world| {
            world.objects.remove(path);
        })
    }
}

pub(super) struct FakeUpload {
    store: FakeStore,
    path: String,
    bytes: Vec<u8>,
}

impl Upload for FakeUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.operate("write", |_| {})?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn complete(self) -> Result<(), StoreError> {
        let Self { store, path, bytes } = self;
        store.operate("complete", |world| {
            world.objects.insert(path, bytes);
        })
    }
}

/// A record to put: where it was read, where transforms route it, its offset and value.
pub(super) struct Put<'a> {
    pub(super) origin: &'a str,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) value: Option<String>,
    pub(super) form: Form,
}

impl<'a> Put<'a> {
    pub(super) fn new(topic: &'a str, partition: i32, offset: i64, value: &str) -> Self {
        Self { origin: topic, topic, partition, offset, value: Some(value.to_owned()), form: Form::JSON }
    }

    pub(super) fn null(topic: &'a str, partition: i32, offset: i64) -> Self {
        Self { value: None, ..Self::new(topic, partition, offset, "") }
    }
}

pub(super) fn batch<'a>(records: impl IntoIterator<Item = Put<'a>>) -> Batch {
    let mut builder = BatchBuilder::default();
    for record in records {
        let (topic, origin) = (builder.topic(record.topic), builder.topic(record.origin));
        let run = Run { records: 0, topic, origin, partition: record.partition, key: Form::BYTES, value: record.form };
        builder.run(run);
        builder.key(None);
        builder.value(record.value.as_deref().map(str::as_bytes));
        builder.end(Some(0), Some(record.offset));
    }
    builder.build()
}

pub(super) fn position(topic: &str, partition: i32, offset: i64, metadata: &str) -> Position {
    Position { topic: topic.into(), partition, offset, metadata: metadata.to_owned() }
}
