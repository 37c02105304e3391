//! Named places where a test may end the process as a power cut would.
//!
//! `TOWPATH_CRASH_POINT=<name>` aborts the process when it first reaches that place, `<name>:<n>` when it does so for the
//! n-th time. Nothing is flushed, dropped or joined on the way out. Unset, which is the rule, a place costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The environment variable that arms a place.
const VARIABLE: &str = "TOWPATH_CRASH_POINT";

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Ends the process here if this is the place and the time that `TOWPATH_CRASH_POINT` names. The environment is read once.
#[inline]
pub fn crash_point(name: &str) {
    let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().as_deref().and_then(Armed::parse));
    if let Some(armed) = armed
        && armed.is_due(name)
    {
        eprintln!("crash point {name} reached, aborting");
        std::process::abort();
    }
}

#[derive(Debug)]
struct Armed {
    name: String,
    hits_left: AtomicU64,
}

impl Armed {
    fn parse(text: &str) -> Option<Self> {
        let (name, count) = match text.rsplit_once(':') {
            Some((name, count)) => (name, count.parse().ok()?),
            None => (text, 1),
        };
        (count > 0 && !name.is_empty()).then(|| Self { name: name.to_owned(), hits_left: AtomicU64::new(count) })
    }

    fn is_due(&self, name: &str) -> bool {
        self.name == name && self.hits_left.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::Armed;

    #[test]
    fn a_place_is_due_at_its_nth_hit_and_no_other() {
        let armed = Armed::parse("journal.before_fsync:3").expect("well formed");
        let due: Vec<bool> = (0..5).map(|_| armed.is_due("journal.before_fsync")).collect();
        assert_eq!(due, [false, false, true, false, false]);
        assert!(!armed.is_due("journal.after_fsync"));
    }

    #[test]
    fn without_a_count_the_first_hit_counts() {
        assert!(Armed::parse("a.b").expect("well formed").is_due("a.b"));
        for nonsense in ["", ":1", "a:0", "a:x"] {
            assert!(Armed::parse(nonsense).is_none(), "{nonsense:?} was accepted");
        }
    }
}
