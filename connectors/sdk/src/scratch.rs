//! Files of this task alone, bounded in size and empty at every start: a place to spill to, never to keep.

use crate::bindings::imports::towpath::connect::scratch as wit;

/// What went wrong with a scratch file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScratchError {
    /// The task's space is used up.
    Full(String),
    /// The disk failed.
    Io(String),
}

impl std::fmt::Display for ScratchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Full(text) | Self::Io(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for ScratchError {}

/// A file; dropping it removes it.
#[derive(Debug)]
pub struct File(wit::File);

impl File {
    /// A new, empty file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create() -> Result<Self, ScratchError> {
        wit::File::create().map(Self).map_err(error)
    }

    /// Appends all of the bytes.
    ///
    /// # Errors
    /// When there is no space for them; the file is then as before.
    pub fn append(&self, bytes: &[u8]) -> Result<(), ScratchError> {
        self.0.append(bytes).map_err(error)
    }

    /// Reads at most `max` bytes from `offset`; fewer only at the end.
    ///
    /// # Errors
    /// When the disk failed.
    pub fn read(&self, offset: u64, max: u32) -> Result<Vec<u8>, ScratchError> {
        self.0.read(offset, max).map_err(error)
    }

    /// Bytes in the file.
    pub fn size(&self) -> u64 {
        self.0.size()
    }
}

fn error(error: wit::ScratchError) -> ScratchError {
    match error {
        wit::ScratchError::Full(text) => ScratchError::Full(text),
        wit::ScratchError::Io(text) => ScratchError::Io(text),
    }
}
