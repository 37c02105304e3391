//! The objects that an S3 sink has written, read from the folder of a store.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

/// An object with the place in the log that its name claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key in the bucket.
    pub key: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of its first record.
    pub first_offset: i64,
    /// Its lines; a gzipped object is unpacked first.
    pub lines: Vec<String>,
}

/// All objects below `prefix` in a bucket's folder, sorted by topic, partition and offset.
pub fn objects(bucket: &Path, prefix: &str) -> Result<Vec<Object>> {
    let mut paths = Vec::new();
    collect(&bucket.join(prefix), &mut paths)?;
    let mut found = paths.iter().map(|path| read(bucket, path)).collect::<Result<Vec<_>>>()?;
    found.sort_by(|a, b| (&a.topic, a.partition, a.first_offset).cmp(&(&b.topic, b.partition, b.first_offset)));
    Ok(found)
}

/// Gathers files. Names that begin with a dot are a server's or a writer's own and no objects yet.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("listing {}", folder.display())),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn read(bucket: &Path, path: &Path) -> Result<Object> {
    let key = path.strip_prefix(bucket)?.to_string_lossy().into_owned();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parts = || {
        let stem = name.split_once(".jsonl").or_else(|| name.rsplit_once('.')).map_or(name.as_str(), |(stem, _)| stem);
        let (rest, offset) = stem.rsplit_once('+')?;
        let (topic, partition) = rest.rsplit_once('+')?;
        Some((topic.to_owned(), partition.parse().ok()?, offset.parse().ok()?))
    };
    let (topic, partition, first_offset) =
        parts().ok_or_else(|| anyhow!("{key} is not named topic+partition+offset"))?;
    let bytes = std::fs::read(path).with_context(|| format!("reading {key}"))?;
    let text = if name.ends_with(".gz") {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .with_context(|| format!("unpacking {key}"))?;
        text
    } else {
        String::from_utf8(bytes).with_context(|| format!("{key} is not text"))?
    };
    Ok(Object { key, topic, partition, first_offset, lines: text.lines().map(str::to_owned).collect() })
}
