//! One plugin: a compiled component, its spec, and the instances made of it.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures::FutureExt;
use towpath_model::{
    Checkpoint, Config, ConnectorError, ConnectorKind, Fault, Interrupt, Plugin, Redactor, Sink, Source, Spec,
    TaskContext, Transform,
};
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre};

use super::Runtime;
use crate::Error;
use crate::bindings::imports::towpath::connect::types;
use crate::bindings::{connector, shares, sink, source, transform};
use crate::guest::{Guest, Instance, Scope, visible_config};
use crate::task::{
    MakeReader, Readers, SinkTask, SourceExports, SourceTask, TransformStep, Usage, checkpoints, context_to_wit,
};
use crate::translate::{config_from_wit, config_to_wit, error_from_wit, fault_from_wit, spec_from_wit};

/// Faults of a configuration that are shown.
const FAULTS_MAX: usize = 100;
/// Bytes of a task's configuration, which becomes a record of the log.
const CONFIG_BYTES_MAX: usize = 512 << 10;
/// Keys of a spec.
const KEYS_MAX: usize = 2_000;
/// Bytes of a name or text in a spec.
const SPEC_TEXT_MAX: usize = 16 << 10;

/// A component, ready to be instantiated.
pub(crate) struct ComponentPlugin {
    spec: Spec,
    digest: String,
    pre: InstancePre<Guest>,
    /// Whether it is a source that divides its work.
    divides: bool,
    runtime: Arc<Runtime>,
}

impl ComponentPlugin {
    /// Makes a plugin of a component. Its spec is asked for unless it is known.
    ///
    /// # Errors
    /// When the component needs what the host does not offer, or says of itself what is not so.
    pub(crate) fn new(
        name: &str,
        digest: String,
        component: &Component,
        known: Option<Spec>,
        runtime: Arc<Runtime>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Component { name: name.to_owned(), source };
        let pre = runtime.linker.instantiate_pre(component).map_err(failed)?;
        let spec = match known {
            Some(spec) => spec,
            None => describe(name, &pre, &runtime)?,
        };
        let exports = match spec.kind {
            ConnectorKind::Source => source::PartIndices::new(&pre).is_ok(),
            ConnectorKind::Sink => sink::PartIndices::new(&pre).is_ok(),
            ConnectorKind::Transform => transform::PartIndices::new(&pre).is_ok(),
        };
        if !exports {
            return Err(Error::Exports { name: name.to_owned(), kind: spec.kind });
        }
        check(name, &spec)?;
        let divides = spec.kind == ConnectorKind::Source && shares::PartIndices::new(&pre).is_ok();
        Ok(Self { spec, digest, pre, divides, runtime })
    }

    async fn instance<E: Send + Sync>(
        &self,
        scope: Scope,
        exports: impl FnOnce(&mut Store<Guest>, &wasmtime::component::Instance) -> wasmtime::Result<E> + Send,
    ) -> Result<Instance<E>, ConnectorError> {
        let activity = self.runtime.ticker.activity();
        Instance::new(&self.pre, activity, Arc::new(scope), &self.runtime.scratch_dir, exports).await
    }

    /// An instance that only answers questions, outside of any task.
    async fn adviser<E: Send + Sync>(
        &self,
        config: &Config,
        redactor: &Redactor,
        exports: impl FnOnce(&mut Store<Guest>, &wasmtime::component::Instance) -> wasmtime::Result<E> + Send,
    ) -> Result<Instance<E>, ConnectorError> {
        let label = format!("{} (check)", self.spec.name);
        let scope =
            Scope::new(label, &self.spec, config.clone(), redactor.clone(), None, self.runtime.services.clone());
        self.instance(scope, exports).await
    }

    fn scope(&self, context: &TaskContext) -> Scope {
        let (telemetry, services) = (Some(context.telemetry.clone()), self.runtime.services.clone());
        Scope::new(
            context.task.to_string(),
            &self.spec,
            context.config.clone(),
            context.redactor.clone(),
            telemetry,
            services,
        )
    }

    /// Makes further instances that work for the same task, beside its own.
    fn make_reader(&self, context: TaskContext, usage: Arc<Usage>) -> MakeReader {
        let (pre, runtime, spec) = (self.pre.clone(), self.runtime.clone(), self.spec.clone());
        Box::new(move |number| {
            let (pre, runtime) = (pre.clone(), runtime.clone());
            let (telemetry, services) = (Some(usage.portion()), runtime.services.clone());
            let label = format!("{} reader {number}", context.task);
            let scope = Arc::new(Scope::new(
                label,
                &spec,
                context.config.clone(),
                context.redactor.clone(),
                telemetry,
                services,
            ));
            async move {
                let exports = |store: &mut Store<Guest>, instance: &wasmtime::component::Instance| {
                    shares::Part::new(store, instance)
                };
                Instance::new(&pre, runtime.ticker.activity(), scope, &runtime.scratch_dir, exports).await
            }
            .boxed()
        })
    }

    fn require(&self, kind: ConnectorKind) -> Result<(), ConnectorError> {
        if self.spec.kind == kind {
            return Ok(());
        }
        let reason = format!("{} is a {:?}, not a {kind:?}", self.spec.name, self.spec.kind);
        Err(ConnectorError::config("connector.class", reason))
    }
}

#[async_trait]
impl Plugin for ComponentPlugin {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    async fn validate(
        &self,
        config: &Config,
        redactor: &Redactor,
        connect: bool,
    ) -> Result<Vec<Fault>, ConnectorError> {
        let mut instance = self.adviser(config, redactor, connector_part).await?;
        let visible = config_to_wit(&visible_config(&self.spec, config));
        let limit = self.runtime.services.limits.call_max;
        let call = instance.call("validate", limit, move |exports, store| {
            async move { exports.towpath_connect_connector().call_validate(store, &visible, connect).await }.boxed()
        });
        let answer = call.await?;
        let redactor = &instance.scope().redactor;
        let faults = answer.map_err(|error| error_from_wit(error, redactor))?;
        Ok(faults.into_iter().take(FAULTS_MAX).map(|fault| fault_from_wit(fault, redactor)).collect())
    }

    async fn plan(&self, config: &Config, redactor: &Redactor, max_tasks: u32) -> Result<Vec<Config>, ConnectorError> {
        let mut instance = self.adviser(config, redactor, connector_part).await?;
        let visible = visible_config(&self.spec, config);
        let (given, limit) = (config_to_wit(&visible), self.runtime.services.limits.call_max);
        let call = instance.call("plan", limit, move |exports, store| {
            async move { exports.towpath_connect_connector().call_plan(store, &given, max_tasks).await }.boxed()
        });
        let answer = call.await?;
        let tasks = answer.map_err(|error| error_from_wit(error, &instance.scope().redactor))?;
        if tasks.is_empty() || tasks.len() > max_tasks.max(1) as usize {
            let reason = format!("{} tasks where 1 to {max_tasks} are allowed", tasks.len());
            return instance.end(crate::guest::malformed("plan", reason));
        }
        if tasks.iter().any(|task| weight(task) > CONFIG_BYTES_MAX) {
            let reason = format!("a task's configuration is longer than {CONFIG_BYTES_MAX} bytes");
            return instance.end(crate::guest::malformed("plan", reason));
        }
        // What was withheld from the guest belongs to each of its tasks, and no task may name an endpoint of its own.
        let whole = |task| complete(config_from_wit(task), config, &visible, &self.spec);
        Ok(tasks.into_iter().map(whole).collect())
    }

    async fn alter_offsets(
        &self,
        config: &Config,
        redactor: &Redactor,
        offsets: &[Checkpoint],
    ) -> Result<(), ConnectorError> {
        self.require(ConnectorKind::Source)?;
        let mut instance = self.adviser(config, redactor, |store, instance| source::Part::new(store, instance)).await?;
        let (offsets, limit) = (checkpoints(offsets), self.runtime.services.limits.call_max);
        let call = instance.call("alter-offsets", limit, move |exports, store| {
            async move { exports.towpath_connect_source().call_alter_offsets(store, &offsets).await }.boxed()
        });
        let answer = call.await?;
        answer.map_err(|error| error_from_wit(error, &instance.scope().redactor))
    }

    async fn source(&self, context: TaskContext) -> Result<(Box<dyn Source>, Arc<dyn Interrupt>), ConnectorError> {
        self.require(ConnectorKind::Source)?;
        let usage = Usage::new(context.telemetry.clone());
        let own = TaskContext { telemetry: usage.portion(), ..context.clone() };
        let divides = self.divides;
        let exports = move |store: &mut Store<Guest>, instance: &wasmtime::component::Instance| {
            Ok(SourceExports {
                source: source::Part::new(&mut *store, instance)?,
                shares: divides.then(|| shares::Part::new(&mut *store, instance)).transpose()?,
            })
        };
        let instance = self.instance(self.scope(&own), exports).await?;
        let interrupt = instance.scope().interruption.clone();
        let readers_max = self.runtime.services.limits.readers_max;
        let visible = context_to_wit(&context, &visible_config(&self.spec, &instance.scope().config));
        let readers = divides.then(|| Readers::new(self.make_reader(context, usage), readers_max));
        Ok((Box::new(SourceTask { instance, context: visible, readers }), interrupt))
    }

    async fn sink(&self, context: TaskContext) -> Result<(Box<dyn Sink>, Arc<dyn Interrupt>), ConnectorError> {
        self.require(ConnectorKind::Sink)?;
        let instance = self.instance(self.scope(&context), |store, instance| sink::Part::new(store, instance)).await?;
        let interrupt = instance.scope().interruption.clone();
        let context = context_to_wit(&context, &visible_config(&self.spec, &instance.scope().config));
        Ok((Box::new(SinkTask { instance, context }), interrupt))
    }

    async fn transform(&self, context: TaskContext) -> Result<Box<dyn Transform>, ConnectorError> {
        self.require(ConnectorKind::Transform)?;
        let instance =
            self.instance(self.scope(&context), |store, instance| transform::Part::new(store, instance)).await?;
        let visible = visible_config(&self.spec, &instance.scope().config);
        Ok(Box::new(TransformStep::open(instance, &visible).await?))
    }
}

fn connector_part(
    store: &mut Store<Guest>,
    instance: &wasmtime::component::Instance,
) -> wasmtime::Result<connector::Part> {
    connector::Part::new(store, instance)
}

fn weight(config: &types::Config) -> usize {
    config.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// A task's configuration as the guest planned it, with what the guest may not decide taken from the connector's.
fn complete(mut task: Config, connector: &Config, visible: &Config, spec: &Spec) -> Config {
    let withheld = connector.iter().filter(|(key, _)| visible.get(key).is_none());
    let ports = spec.keys.iter().filter_map(|key| match &key.endpoint {
        Some(towpath_model::Endpoint::Host { port_key, .. }) => Some(port_key),
        _ => None,
    });
    let endpoints = spec.keys.iter().filter(|key| key.endpoint.is_some());
    let fixed = endpoints.flat_map(|key| std::iter::once(&key.name).chain(&key.aliases)).chain(ports);
    for key in fixed {
        match connector.get(key) {
            Some(value) => task.set(key, value),
            None => drop(task.0.remove(key)),
        }
    }
    for (key, value) in withheld {
        task.set(key, value);
    }
    task
}

/// Asks a component what it is. It can do nothing meanwhile, so there is nothing to wait for.
fn describe(name: &str, pre: &InstancePre<Guest>, runtime: &Runtime) -> Result<Spec, Error> {
    let failed = |source| Error::Component { name: name.to_owned(), source };
    let scope = Arc::new(Scope::nothing(name.to_owned(), runtime.services.clone()));
    let asked = async {
        let exports =
            |store: &mut Store<Guest>, instance: &wasmtime::component::Instance| connector::Part::new(store, instance);
        let activity = runtime.ticker.activity();
        let mut instance = Instance::new(pre, activity, scope, &runtime.scratch_dir, exports).await?;
        instance
            .call_now("describe", |exports, store| exports.towpath_connect_connector().call_describe(store).boxed())
            .await
    };
    // A guest yields at every tick; its own limit ends one that never returns.
    let mut asked = pin!(asked);
    let answer = loop {
        if let Poll::Ready(answer) = asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            break answer;
        }
    };
    let spec = answer.map_err(|error| failed(wasmtime::Error::msg(error.to_string())))?;
    Ok(spec_from_wit(spec))
}

fn check(name: &str, spec: &Spec) -> Result<(), Error> {
    let contradicts = |reason: String| Error::Spec { name: name.to_owned(), reason };
    if spec.name.is_empty() || spec.name.contains(['@', '/', ' ']) {
        return Err(contradicts(format!("{:?} cannot be the name of a plugin", spec.name)));
    }
    if spec.keys.len() > KEYS_MAX {
        return Err(contradicts(format!("{} keys, {KEYS_MAX} are allowed", spec.keys.len())));
    }
    let texts = spec.keys.iter().flat_map(|key| [&key.name, &key.doc, &key.display_name]);
    if texts.chain([&spec.name, &spec.version, &spec.doc]).any(|text| text.len() > SPEC_TEXT_MAX) {
        return Err(contradicts(format!("a text is longer than {SPEC_TEXT_MAX} bytes")));
    }
    let mut seen = std::collections::HashSet::new();
    for key in spec.keys.iter().flat_map(|key| std::iter::once(&key.name).chain(&key.aliases)) {
        if !seen.insert(key) {
            return Err(contradicts(format!("the key `{key}` is defined twice")));
        }
    }
    Ok(())
}

/// Where a plugin was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the binary.
    Embedded,
    /// In a file.
    File(PathBuf),
}
