//! A few live lines at the bottom of a terminal, redrawn in place, with everything else scrolling by above them.
//!
//! Where stdout is no terminal there are no live lines, and what would go above them goes to stderr as it is.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The terminal.
pub(crate) struct Screen {
    live: bool,
    /// Whether stderr shares the terminal, so that what goes there must respect the live lines.
    shared: bool,
    drawn: Mutex<Drawn>,
}

/// What stands at the bottom.
#[derive(Default)]
struct Drawn {
    lines: Vec<String>,
}

impl Screen {
    /// A screen with live lines if `wanted` and stdout is a terminal.
    pub(crate) fn new(wanted: bool) -> Self {
        let live = wanted && io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { live, shared: io::stderr().is_terminal(), drawn: Mutex::default() }
    }

    /// Whether there are live lines.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Replaces the live lines. Each is cut at the terminal's width.
    pub(crate) fn draw(&self, lines: Vec<String>) {
        if !self.live {
            return;
        }
        let mut drawn = self.drawn();
        let (width, height) = terminal_size::terminal_size().map_or((120, 40), |(width, height)| (width.0, height.0));
        let shown = usize::from(height.saturating_sub(1)).max(1);
        let mut frame = erase(&drawn);
        drawn.lines = lines.into_iter().take(shown).map(|line| cut(&line, usize::from(width))).collect();
        frame.push_str(&paint(&drawn));
        write_out(&frame);
    }

    /// Writes bytes that end in a newline above the live lines.
    pub(crate) fn print_above(&self, bytes: &[u8]) {
        let drawn = self.drawn();
        if !self.live || !self.shared {
            // Nothing is left to do when stderr is closed.
            _ = io::stderr().write_all(bytes);
            return;
        }
        write_out(&erase(&drawn));
        _ = io::stdout().write_all(bytes);
        write_out(&paint(&drawn));
    }

    /// Leaves the live lines where they are; what follows goes below.
    pub(crate) fn release(&self) {
        self.drawn().lines.clear();
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Goes up to the first live line and clears from there.
fn erase(drawn: &Drawn) -> String {
    if drawn.lines.is_empty() { String::new() } else { format!("\x1b[{}F\x1b[J", drawn.lines.len()) }
}

fn paint(drawn: &Drawn) -> String {
    drawn.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

fn write_out(text: &str) {
    let mut out = io::stdout().lock();
    // A terminal that is gone needs no lines.
    _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// At most `width` characters of a line; colour sequences take no room.
fn cut(line: &str, width: usize) -> String {
    let mut kept = String::with_capacity(line.len());
    let (mut room, mut in_sequence, mut was_cut) = (width, false, false);
    for character in line.chars() {
        if in_sequence || character == '\x1b' {
            in_sequence = character != 'm';
            kept.push(character);
        } else if room > 1 {
            room -= 1;
            kept.push(character);
        } else if !was_cut {
            was_cut = true;
            kept.push('…');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_at_the_width_and_keeps_its_colours() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("a longer line", 8), "a longe…");
        assert_eq!(cut("\x1b[31mred and long\x1b[0m", 5), "\x1b[31mred …\x1b[0m");
    }

    #[test]
    fn drawing_again_begins_at_the_first_line() {
        assert_eq!(erase(&Drawn::default()), "");
        assert_eq!(erase(&Drawn { lines: vec!["a".into(), "b".into()] }), "\x1b[2F\x1b[J");
    }
}
