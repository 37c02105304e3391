//! The WASM engine and the clock that interrupts guests.
//!
//! Guests are interrupted by epochs: a thread of the host's own advances the engine's epoch every [`TICK`] while guests
//! compute, and sleeps while none does, so that an idle worker costs nothing. At each tick a guest yields to the other tasks
//! of its thread and its time is counted. Settings that change compiled code are all here, for this process and for
//! `towpath-precompile` alike: the code is for any machine of its kind that is not older than 2009.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, WasmBacktraceDetails};

use crate::Error;
use crate::plugins::{code_pages, use_vectors};

/// How often a computing guest is interrupted.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// Ticks without a guest's activity after which the thread sleeps.
const QUIET_TICKS: u32 = 20;
const STACK_BYTES: usize = 1 << 20;

/// The engine with the settings that compiled code depends on.
pub(crate) fn engine() -> Result<wasmtime::Engine, Error> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(2 * STACK_BYTES)
        .with_custom_code_memory(Some(code_pages()))
        .target(env!("TOWPATH_TARGET"))
        .map_err(Error::Engine)?;
    use_vectors(&mut config);
    wasmtime::Engine::new(&config).map_err(Error::Engine)
}

/// Advances the epoch while guests compute. Dropping it ends its thread.
pub(crate) struct Ticker {
    activity: Arc<Activity>,
    thread: Option<JoinHandle<()>>,
}

/// Who computes, as the thread and the tasks see it.
#[derive(Default)]
pub(crate) struct Activity {
    computing: AtomicUsize,
    entries: AtomicU64,
    asleep: AtomicBool,
    stop: Mutex<bool>,
    wake: Condvar,
}

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start(engine: &wasmtime::Engine) -> Result<Self, Error> {
        let activity = Arc::new(Activity::default());
        let (engine, seen) = (engine.weak(), activity.clone());
        let tick = move || match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => seen.stop(),
        };
        let run = activity.clone();
        let thread = std::thread::Builder::new().name("towpath-epoch".into()).spawn(move || run.run(tick));
        let thread = thread.map_err(|error| Error::Engine(error.into()))?;
        Ok(Self { activity, thread: Some(thread) })
    }

    pub(crate) fn activity(&self) -> Arc<Activity> {
        self.activity.clone()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.activity.stop();
        if let Some(thread) = self.thread.take() {
            // The thread does nothing that can fail.
            drop(thread.join());
        }
    }
}

impl Activity {
    /// A guest begins to compute. Ends with the guard.
    pub(crate) fn enter(&self) -> Computing<'_> {
        self.computing.fetch_add(1, Ordering::SeqCst);
        self.entries.fetch_add(1, Ordering::Relaxed);
        // The thread sets `asleep` before it looks at `computing` a last time, so one of the two sees the other.
        if self.asleep.load(Ordering::SeqCst) {
            let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_one();
            drop(stop);
        }
        Computing(self)
    }

    fn stop(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_one();
    }

    fn run(&self, tick: impl Fn()) {
        let mut quiet = 0;
        let mut entries = 0;
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stop {
            stop = self.wake.wait_timeout(stop, TICK).unwrap_or_else(PoisonError::into_inner).0;
            drop(stop);
            tick();
            let seen = self.entries.load(Ordering::Relaxed);
            quiet = if seen == entries { quiet + 1 } else { 0 };
            entries = seen;
            stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
            if quiet >= QUIET_TICKS {
                self.asleep.store(true, Ordering::SeqCst);
                while !*stop && self.computing.load(Ordering::SeqCst) == 0 {
                    stop = self.wake.wait(stop).unwrap_or_else(PoisonError::into_inner);
                }
                self.asleep.store(false, Ordering::SeqCst);
                quiet = 0;
            }
        }
    }
}

/// As long as it lives, a guest computes.
pub(crate) struct Computing<'a>(&'a Activity);

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.0.computing.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_thread_sleeps_while_no_guest_computes_and_wakes_for_the_next_one() {
        let activity = Arc::new(Activity::default());
        let (ticked, ticks) = mpsc::channel();
        let run = activity.clone();
        let thread = std::thread::spawn(move || run.run(|| ticked.send(()).unwrap_or_default()));
        for _ in 0..3 {
            while !activity.asleep.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            while ticks.try_recv().is_ok() {}
            let computing = activity.enter();
            ticks.recv_timeout(Duration::from_secs(60)).expect("it is awake again");
            drop(computing);
        }
        activity.stop();
        thread.join().expect("it ends");
    }
}
