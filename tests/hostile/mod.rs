//! Hostile plugins in a real worker, each as a connector of its own beside a healthy pipeline: it fails alone, with code, cause and
//! backtrace, while rows of the healthy one go on arriving and the worker's memory, its log and its processor stay bounded.
//!
//! What the plugins do is in `guests/` (the components) and `deeds.rs` (which of them, and what must come of it); `scene.rs` is the
//! worker with its healthy pipeline. Files in the plugins folder that are no plugins, and compiled code that was tampered with, are
//! in `files.rs`.

mod deeds;
mod files;
mod scene;

use std::sync::Arc;

use libtest_mimic::Trial;

use crate::runner::{Servers, blocking};

pub(crate) fn trials(servers: &Arc<Servers>) -> Vec<Trial> {
    let (for_deeds, for_files, for_bounds) = (servers.clone(), servers.clone(), servers.clone());
    vec![
        Trial::test("hostile::plugins_fail_alone", move || blocking(deeds::fail_alone(&for_deeds))),
        Trial::test("hostile::files_are_refused_or_made_anew", move || {
            blocking(files::are_refused_or_made_anew(&for_files))
        }),
        Trial::test("hostile::files_are_compiled_within_bounds", move || {
            blocking(files::are_compiled_within_bounds(&for_bounds))
        }),
    ]
}
