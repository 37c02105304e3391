//! Files to spill to, as the connector sees them: of this task alone, bounded by the host, gone with the task.
//!
//! `component.rs` fulfils it with the host's capability `scratch`, the tests with the machine's own files and faults.

/// Why something could not be kept in a scratch file, or read back from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScratchError {
    /// There is no more space.
    #[error("{0}")]
    Full(String),
    /// The disk failed.
    #[error("{0}")]
    Io(String),
    /// What is read is not what was written.
    #[error("the block at {0} of a scratch file is damaged")]
    Damaged(u64),
}

/// A scratch file. Dropping it removes it.
pub trait ScratchFile {
    /// Appends all of the bytes, or leaves the file as it was.
    ///
    /// # Errors
    /// When there is no space for them or the disk failed.
    fn append(&mut self, bytes: &[u8]) -> Result<(), ScratchError>;
    /// Reads at most `max` bytes from `offset`; none only at the end.
    ///
    /// # Errors
    /// When the disk failed.
    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, ScratchError>;
}
