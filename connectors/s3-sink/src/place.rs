//! The folders in which objects beyond the committed offset may lie, kept in the metadata of the offset commit.
//!
//! Before the first object goes to a folder, the folder is committed with the unchanged offset. So a start knows where an
//! earlier one may have left an object, even when `topics.dir` or the routing of topics was changed in between.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Kafka takes metadata of 4 KiB.
const TEXT_BYTES_MAX: usize = 4000;

/// Folders by name.
pub(crate) type Folders = BTreeSet<String>;

#[derive(Serialize, Deserialize)]
struct Metadata {
    /// Which store and bucket the folders belong to.
    store: String,
    folders: Folders,
}

/// The text to commit. Folders that do not fit are left out: they are then found again when records go there.
pub(crate) fn write(store: &str, folders: &Folders) -> String {
    let text = |folders: &Folders| {
        let metadata = Metadata { store: store.to_owned(), folders: folders.clone() };
        serde_json::to_string(&metadata).expect("texts are written without fail")
    };
    Some(text(folders)).filter(|text| text.len() <= TEXT_BYTES_MAX).unwrap_or_else(|| text(&Folders::new()))
}

/// Reads a committed text: the folders, or `Err` with the store that they belong to when it is another one.
pub(crate) fn read(store: &str, text: &str) -> Result<Folders, String> {
    match serde_json::from_str::<Metadata>(text) {
        Ok(metadata) if metadata.store == store => Ok(metadata.folders),
        Ok(metadata) => Err(metadata.store),
        Err(_) => Ok(Folders::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_round_trip_and_stay_within_kafkas_limit() {
        let folders: Folders = ["topics/orders".to_owned(), "topics/\"odd\"".to_owned()].into();
        let text = write("s3/lake", &folders);
        assert_eq!(read("s3/lake", &text), Ok(folders));
        assert_eq!(read("s3/other", &text), Err("s3/lake".to_owned()));
        let many = (0..1000).map(|topic| format!("topics/{topic}")).collect();
        assert_eq!(read("s3/lake", &write("s3/lake", &many)), Ok(Folders::new()));
        for foreign in ["", "{}", "offset by hand"] {
            assert_eq!(read("s3/lake", foreign), Ok(Folders::new()));
        }
    }
}
