//! The catalog: which topics there are. The one authority; a directory that it does not know is the rest of a deletion.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::durable_file::DurableFile;
use crate::error::Error;
use crate::vfs::Vfs;

/// All topics by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Catalog {
    /// The cluster's id, as Kafka clients are shown it.
    pub(crate) cluster_id: String,
    /// The topics.
    pub(crate) topics: BTreeMap<String, CatalogTopic>,
}

/// One topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CatalogTopic {
    id: String,
    pub(crate) partitions: i32,
    pub(crate) configs: BTreeMap<String, String>,
    /// Whether compaction may ever have left gaps between its offsets.
    pub(crate) gaps: bool,
}

impl CatalogTopic {
    pub(crate) fn new(id: Uuid, partitions: i32, configs: BTreeMap<String, String>, gaps: bool) -> Self {
        Self { id: id.to_string(), partitions, configs, gaps }
    }

    pub(crate) fn id(&self) -> Result<Uuid, Error> {
        self.id.parse().map_err(|_| Error::corrupt("catalog", format!("{} is no topic id", self.id)))
    }
}

impl Catalog {
    pub(crate) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Self>, Error> {
        file(dir).read(vfs)
    }

    pub(crate) fn write(&self, vfs: &dyn Vfs, dir: &Path) -> Result<(), Error> {
        file(dir).write(vfs, self)
    }
}

fn file(dir: &Path) -> DurableFile<'_> {
    DurableFile { dir, name: "catalog" }
}
