//! One running component: its store, what its task may do, and the one way of calling into it.
//!
//! [`Instance::call`] is that way: it bounds the call's time, measures it, and turns a trap, an exit or a dropped call into an
//! error with a stable code. After any of these the instance is dead and every later call gives the same error.

mod console;
mod fault;
mod limits;
mod pace;
mod text;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Notify;
use towpath_model::{Capability, Clock, Config, ConnectorError, Interrupt, Redactor, Spec, Telemetry};
use wasmtime::component::{InstancePre, ResourceTable};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

pub(crate) use fault::malformed;
pub(crate) use pace::Pace;
pub(crate) use text::{clean, code, is_code};

use crate::capability::{Allowed, Held, Services, scratch};
use crate::config::Limits;
use crate::engine::Activity;
use console::Console;
use limits::Meter;

/// What a store holds for its guest.
pub(crate) struct Guest {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) meter: Meter,
    pub(crate) scratch: scratch::Space,
    pub(crate) held: Held,
    /// Log lines.
    pub(crate) lines: Pace,
    pub(crate) scope: Arc<Scope>,
}

fn lines(limits: &Limits) -> Pace {
    let every = Duration::from_secs(1) / limits.log_lines_a_second.max(1);
    Pace::new(limits.log_lines_a_second.saturating_mul(10), every)
}

/// Random bytes that a guest may ask for at once.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// Whom a guest runs for and what it may do.
pub(crate) struct Scope {
    /// How the task is called in logs.
    pub(crate) label: String,
    /// The whole configuration, with secrets resolved.
    pub(crate) config: Config,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) credentials: Vec<towpath_model::Credential>,
    pub(crate) allowed: Allowed,
    pub(crate) redactor: Redactor,
    pub(crate) telemetry: Option<Arc<dyn Telemetry>>,
    pub(crate) interruption: Arc<Interruption>,
    pub(crate) services: Arc<Services>,
}

impl Scope {
    /// The scope of a task with this configuration, which is completed: own names instead of aliases, and defaults.
    pub(crate) fn new(
        label: String,
        spec: &Spec,
        config: Config,
        mut redactor: Redactor,
        telemetry: Option<Arc<dyn Telemetry>>,
        services: Arc<Services>,
    ) -> Self {
        let config = spec.complete(&config);
        redactor.add_secrets(spec, &config);
        Self {
            label,
            capabilities: spec.capabilities.clone(),
            credentials: spec.credentials.clone(),
            allowed: Allowed::new(spec, &config, services.allow_link_local),
            redactor,
            config,
            telemetry,
            interruption: Arc::default(),
            services,
        }
    }

    /// The scope in which a component says what it is: it may do nothing.
    pub(crate) fn nothing(label: String, services: Arc<Services>) -> Self {
        Self {
            label,
            config: Config::default(),
            capabilities: Vec::new(),
            credentials: Vec::new(),
            allowed: Allowed::default(),
            redactor: Redactor::default(),
            telemetry: None,
            interruption: Arc::default(),
            services,
        }
    }
}

/// The configuration as the guest sees it: without the secrets that the host uses in its stead.
pub(crate) fn visible_config(spec: &Spec, config: &Config) -> Config {
    let by_host: Vec<&str> = spec.credentials.iter().map(|credential| credential.scheme.secret_key()).collect();
    // A store's keys are the host's business. A component that also speaks over streams logs in by itself.
    let uses = |capability| spec.capabilities.contains(&capability);
    let all_by_host = uses(Capability::ObjectStore) && !uses(Capability::Streams);
    let withheld = |name: &str| {
        let key = spec.keys.iter().find(|key| key.name == name || key.aliases.iter().any(|alias| alias == name));
        let named = |key: &str| by_host.contains(&key);
        match key {
            Some(key) => {
                key.secret && (all_by_host || named(&key.name) || key.aliases.iter().any(|alias| named(alias)))
            }
            None => named(name),
        }
    };
    config.iter().filter(|(name, _)| !withheld(name)).collect()
}

/// The host's word that a guest should return from a wait.
#[derive(Default)]
pub(crate) struct Interruption(Notify);

impl Interruption {
    /// Ready when the interrupt was or is raised; takes it.
    pub(crate) async fn raised(&self) {
        self.0.notified().await;
    }
}

impl Interrupt for Interruption {
    fn raise(&self) {
        self.0.notify_one();
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A component that was instantiated, and the exports of it that are called.
pub(crate) struct Instance<E> {
    store: Store<Guest>,
    exports: E,
    console: Console,
    activity: Arc<Activity>,
    fault: Option<ConnectorError>,
    busy: Duration,
}

impl<E: Send + Sync> Instance<E> {
    /// Makes an instance. `exports` finds the exports that will be called.
    ///
    /// # Errors
    /// When the component cannot be instantiated, for instance for want of memory.
    pub(crate) async fn new(
        pre: &InstancePre<Guest>,
        activity: Arc<Activity>,
        scope: Arc<Scope>,
        scratch_dir: &Path,
        exports: impl FnOnce(&mut Store<Guest>, &wasmtime::component::Instance) -> wasmtime::Result<E> + Send,
    ) -> Result<Self, ConnectorError> {
        let limits = &scope.services.limits;
        let console = Console::new(&scope.label, scope.redactor.clone(), scope.services.clock.clone(), lines(limits));
        let redactor = scope.redactor.clone();
        let wasi = WasiCtx::builder()
            .stdout(console.clone())
            .stderr(console.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(RANDOM_BYTES_MAX)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles_max);
        let guest = Guest {
            wasi,
            table,
            meter: Meter::new(limits),
            scratch: scratch::Space::new(scratch_dir, &scope.label, limits.scratch_bytes_max),
            held: Held::new(limits.held_bytes_max),
            lines: lines(limits),
            scope: scope.clone(),
        };
        let mut store = Store::new(pre.component().engine(), guest);
        store.set_hostcall_fuel(limits.crossing_bytes_max);
        store.limiter(|guest| &mut guest.meter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| {
            store.data_mut().meter.tick()?;
            Ok(UpdateDeadline::Yield(1))
        });
        let computing = activity.enter();
        let instance = async {
            let instance = pre.instantiate_async(&mut store).await?;
            exports(&mut store, &instance)
        };
        let instance = instance.await;
        drop(computing);
        let exports = instance.map_err(|error| fault::classify(&error, &console.take_tail(), &redactor))?;
        Ok(Self { store, exports, console, activity, fault: None, busy: Duration::ZERO })
    }

    /// Whom the guest runs for.
    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.store.data().scope
    }

    /// Calls the guest; `name` is the call's name in messages. Dropping the future ends the instance.
    ///
    /// # Errors
    /// When the instance is dead, or died of this call.
    pub(crate) async fn call<R: Send>(
        &mut self,
        name: &'static str,
        limit: Duration,
        call: impl for<'a> FnOnce(&'a E, &'a mut Store<Guest>) -> BoxFuture<'a, wasmtime::Result<R>> + Send,
    ) -> Result<R, ConnectorError> {
        let answer = tokio::time::timeout(limit, self.call_now(name, call)).await;
        // A guest that always answers at once would otherwise keep its thread from all other tasks.
        tokio::task::consume_budget().await;
        match answer {
            Ok(answer) => answer,
            Err(_) => self.end(fault::timed_out(name, limit)),
        }
    }

    /// Calls the guest without a limit of time beyond the one on its computing.
    ///
    /// # Errors
    /// When the instance is dead, or died of this call.
    pub(crate) async fn call_now<R: Send>(
        &mut self,
        name: &'static str,
        call: impl for<'a> FnOnce(&'a E, &'a mut Store<Guest>) -> BoxFuture<'a, wasmtime::Result<R>> + Send,
    ) -> Result<R, ConnectorError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        self.fault = Some(fault::cancelled(name));
        self.store.data_mut().meter.called();
        let clock = self.scope().services.clock.clone();
        let measured = Measured {
            call: call(&self.exports, &mut self.store),
            activity: &self.activity,
            clock: &*clock,
            busy: &mut self.busy,
        };
        let answer = measured.await;
        self.report();
        match answer {
            Ok(answer) => {
                self.fault = None;
                Ok(answer)
            }
            Err(error) => self.end(fault::classify(&error, &self.console.take_tail(), &self.scope().redactor)),
        }
    }

    /// Ends the instance with this fault.
    ///
    /// # Errors
    /// Always: with the fault.
    pub(crate) fn end<R>(&mut self, fault: ConnectorError) -> Result<R, ConnectorError> {
        self.fault = Some(fault.clone());
        Err(fault)
    }

    fn report(&self) {
        let guest = self.store.data();
        if let Some(telemetry) = &guest.scope.telemetry {
            telemetry.usage(guest.meter.memory_bytes(), self.busy);
        }
    }
}

/// Polls a call and counts the time that takes: what the guest computed, without what it waited.
struct Measured<'a, R> {
    call: BoxFuture<'a, wasmtime::Result<R>>,
    activity: &'a Activity,
    clock: &'a dyn Clock,
    busy: &'a mut Duration,
}

impl<R> Future for Measured<'_, R> {
    type Output = wasmtime::Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let started = self.clock.monotonic();
        let computing = self.activity.enter();
        let polled = self.call.as_mut().poll(cx);
        drop(computing);
        let elapsed = self.clock.monotonic().saturating_sub(started);
        *self.busy += elapsed;
        polled
    }
}
