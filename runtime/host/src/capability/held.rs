//! Bytes that the host holds for one task: together they stay under a bound, whoever asks for more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many bytes are held for a task.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    used: Arc<AtomicUsize>,
    max: usize,
}

/// Bytes that are held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    held: Held,
    bytes: usize,
}

impl Held {
    pub(crate) fn new(max: usize) -> Self {
        Self { used: Arc::default(), max }
    }

    /// The bound.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Holds so many bytes for as long as this bound lives. Says whether there was room for them.
    pub(crate) fn spend(&self, bytes: usize) -> bool {
        let mut hold = self.nothing();
        let grown = hold.grow(bytes);
        hold.bytes = 0;
        grown
    }

    /// A hold on nothing.
    pub(crate) fn nothing(&self) -> Hold {
        Hold { held: self.clone(), bytes: 0 }
    }
}

impl Hold {
    /// Holds so many bytes more. Says whether there was room for them.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let (used, max) = (&self.held.used, self.held.max);
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= max);
        let grown = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        self.bytes += if grown { bytes } else { 0 };
        grown
    }

    /// Makes a hold of its own of a part of this one.
    pub(crate) fn split(&mut self, bytes: usize) -> Hold {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Hold { held: self.held.clone(), bytes }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_holds_of_a_task_share_one_bound() {
        let held = Held::new(10);
        let (mut one, mut other) = (held.nothing(), held.nothing());
        assert!(one.grow(6) && !other.grow(5) && other.grow(4));
        let part = one.split(5);
        drop(one);
        assert!(other.grow(1) && !other.grow(1));
        drop(part);
        assert!(other.grow(5) && !other.grow(usize::MAX));
    }
}
