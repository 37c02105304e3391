//! Writes a JSON object entry by entry.

use super::write_string;

/// Writes a JSON object entry by entry, values as they are given.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> ObjectWriter<'a> {
    /// Begins an object.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// An entry whose value is JSON already.
    pub(crate) fn raw(&mut self, name: &str, value: &str) {
        self.name(name);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// An entry whose value `write` appends.
    pub(crate) fn with<E>(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        self.name(name);
        write(self.out)
    }

    /// An entry whose value is a string.
    pub(crate) fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(self.out, value.as_bytes()).expect("a Rust string is UTF-8");
    }

    /// Ends the object.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        write_string(self.out, name.as_bytes()).expect("a Rust string is UTF-8");
        self.out.push(b':');
    }
}
