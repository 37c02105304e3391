//! Small files that are replaced whole: the catalog and the checkpoint. A line with name, format and checksum, then JSON.
//!
//! The new content is written beside the old, synced and renamed over it, and the directory synced: a crash leaves the old
//! or the new, never a mixture. Content that does not match its checksum is damage, and a newer format is refused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::vfs::{Open, Vfs, read_whole, write_all_at};

const FORMAT: u32 = 1;

/// A file of this kind in a directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DurableFile<'a> {
    /// The directory.
    pub(crate) dir: &'a Path,
    /// The file's name, which also stands in its first line.
    pub(crate) name: &'a str,
}

impl DurableFile<'_> {
    fn path(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    /// Reads it; none when there is no such file.
    pub(crate) fn read<T: DeserializeOwned>(&self, vfs: &dyn Vfs) -> Result<Option<T>, Error> {
        let path = self.path();
        let failed = |error| Error::io(format!("reading {}", path.display()), error);
        let file = match vfs.open(&path, Open::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let content = read_whole(file.as_ref()).map_err(failed)?;
        let damaged = |reason: &str| Error::corrupt(path.display(), reason);
        let split =
            content.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("its first line is missing"))?;
        let (line, body) = content.split_at(split + 1);
        let line = std::str::from_utf8(line).map_err(|_| damaged("its first line is damaged"))?;
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(format), Some(crc)) = (words.next(), words.next(), words.next()) else {
            return Err(damaged("its first line is damaged"));
        };
        let format = format.parse::<u32>().map_err(|_| damaged("its first line is damaged"))?;
        if name == self.name && format > FORMAT {
            return Err(Error::UnsupportedFormat { place: path.display().to_string(), found: format, known: FORMAT });
        }
        if name != self.name || crc != checksum(body) {
            return Err(damaged("its checksum differs"));
        }
        serde_json::from_slice(body).map(Some).map_err(|error| damaged(&error.to_string()))
    }

    /// Replaces it; durable when this returns.
    pub(crate) fn write<T: Serialize>(&self, vfs: &dyn Vfs, content: &T) -> Result<(), Error> {
        let body = serde_json::to_vec(content).expect("what the log stores has text keys");
        let mut bytes = format!("{} {FORMAT} {}\n", self.name, checksum(&body)).into_bytes();
        bytes.extend_from_slice(&body);
        let beside = self.dir.join(format!("{}.tmp", self.name));
        let write = || {
            let file = vfs.open(&beside, Open::Create)?;
            write_all_at(file.as_ref(), &bytes, 0)?;
            file.sync()
        };
        let context = || format!("writing {}", self.path().display());
        write().map_err(|error| Error::io(context(), error))?;
        // From here on a failure leaves open which content a crash would keep, so it is never just a full disk.
        vfs.rename(&beside, &self.path())
            .and_then(|()| vfs.sync_dir(self.dir))
            .map_err(|error| Error::Io { context: context(), source: Arc::new(error) })
    }
}

fn checksum(body: &[u8]) -> String {
    format!("{:08x}", crc32c::crc32c(body))
}
