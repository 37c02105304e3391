//! Local files that the task's own configuration names.

use crate::bindings::imports::towpath::connect::files as wit;

/// What went wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// The path is not in the task's configuration, or leads through a symbolic link; the text says which.
    Denied(String),
    /// There is no such file or folder.
    NotFound(String),
    /// There is no space for what was to be appended; the file is as before.
    Full(String),
    /// The disk failed.
    Io(String),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Denied(text) | Self::NotFound(text) | Self::Full(text) | Self::Io(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for FileError {}

/// A file to read.
#[derive(Debug)]
pub struct Reader(wit::Reader);

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is not there or not permitted.
    pub fn open(path: &str) -> Result<Self, FileError> {
        wit::Reader::open(path).map(Self).map_err(error)
    }

    /// Reads at most `max` bytes from `offset`; none at the end of the file.
    ///
    /// # Errors
    /// When the disk failed.
    pub fn read(&self, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        self.0.read(offset, max).map_err(error)
    }

    /// Bytes in the file.
    ///
    /// # Errors
    /// When the disk failed.
    pub fn size(&self) -> Result<u64, FileError> {
        self.0.size().map_err(error)
    }
}

/// A file to append to.
#[derive(Debug)]
pub struct Appender(wit::Appender);

impl Appender {
    /// Opens a file, which is made where there is none.
    ///
    /// # Errors
    /// When it cannot be made or is not permitted.
    pub fn open(path: &str) -> Result<Self, FileError> {
        wit::Appender::open(path).map(Self).map_err(error)
    }

    /// Appends all of the bytes.
    ///
    /// # Errors
    /// When there is no space for them; the file is then as before.
    pub fn append(&self, bytes: &[u8]) -> Result<(), FileError> {
        self.0.append(bytes).map_err(error)
    }

    /// All that was appended is on disk when this returns.
    ///
    /// # Errors
    /// When the disk failed.
    pub fn sync(&self) -> Result<(), FileError> {
        self.0.sync().map_err(error)
    }
}

fn error(error: wit::FileError) -> FileError {
    match error {
        wit::FileError::Denied(text) => FileError::Denied(text),
        wit::FileError::NotFound(text) => FileError::NotFound(text),
        wit::FileError::Full(text) => FileError::Full(text),
        wit::FileError::Io(text) => FileError::Io(text),
    }
}
