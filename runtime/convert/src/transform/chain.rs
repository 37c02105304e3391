//! The chain of transforms between connector and converter, built in ones and components in one order, each under its condition.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Batch, BatchBuilder, Config, ConnectorError, RecordError, Transform};

use super::predicate::{Chosen, Condition};
use super::registry::built_in;
use super::{Rewrite, listed};
use crate::Stage;
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::fault::Fault;
use crate::path::{Station, Trace};

enum Transforms {
    BuiltIn(Box<dyn Rewrite>),
    Plugin(Box<dyn Transform>),
}

struct Step {
    name: Arc<str>,
    class: Arc<str>,
    condition: Option<Condition>,
    transform: Transforms,
}

/// All transforms of a connector, in their order.
pub(crate) struct Chain {
    steps: Vec<Step>,
}

impl Chain {
    pub(crate) fn new(config: &Config, mut plugins: HashMap<String, Box<dyn Transform>>) -> Result<Self, Error> {
        let step = |(settings, class): (super::Settings<'_>, String)| {
            let condition = Condition::of(config, &settings)?;
            let transform = match built_in(&class) {
                Some(built_in) => Transforms::BuiltIn((built_in.make)(&settings)?),
                None => match plugins.remove(settings.alias) {
                    Some(transform) => Transforms::Plugin(transform),
                    None => return Err(Error::class(settings.key("type"), format!("no transform is named {class}"))),
                },
            };
            Ok(Step { name: settings.alias.into(), class: class.into(), condition, transform })
        };
        Ok(Self { steps: listed(config)?.into_iter().map(step).collect::<Result<_, _>>()? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Runs the batch through all steps; none when none of them was meant for it.
    pub(crate) async fn apply(
        &mut self,
        batch: &Batch,
        trace: &mut Trace<'_>,
    ) -> Result<Option<Batch>, ConnectorError> {
        let mut current: Option<Batch> = None;
        for step in &mut self.steps {
            let input = current.as_ref().unwrap_or(batch);
            if input.is_empty() {
                break;
            }
            let rewritten = match step.condition.as_mut().map_or(Chosen::All, |condition| condition.choose(input)) {
                Chosen::None => {
                    trace.chosen(&[]);
                    trace.seen(|| step.station(), input);
                    continue;
                }
                Chosen::All => step.transform.apply(input).await?,
                Chosen::Some(chosen) => {
                    trace.chosen(&chosen);
                    let (subset, indexes) = subset(input, &chosen);
                    let rewritten = step.transform.apply(&subset).await?;
                    merge(input, &chosen, &indexes, rewritten)
                }
            };
            let records = trace.take(rewritten, Stage::Transformation, &step.class);
            trace.seen(|| step.station(), &records);
            current = Some(records);
        }
        Ok(current)
    }
}

impl Step {
    fn station(&self) -> Station {
        Station::Transform { name: self.name.clone(), class: self.class.clone() }
    }
}

impl Transforms {
    async fn apply(&mut self, batch: &Batch) -> Result<Rewritten, ConnectorError> {
        match self {
            Self::BuiltIn(transform) => Ok(transform.apply(batch)),
            Self::Plugin(transform) => apply_plugin(transform.as_mut(), batch).await,
        }
    }
}

/// The records that are chosen, and which of `batch` each is.
fn subset(batch: &Batch, chosen: &[bool]) -> (Batch, Vec<u32>) {
    let mut draft = Draft::of(batch);
    batch.records().zip(chosen).filter(|(_, is_chosen)| **is_chosen).for_each(|(record, _)| draft.keep(&record));
    let subset = draft.finish();
    (subset.records, subset.origins)
}

/// Puts what was done to the chosen records back between the others, in the order of their origins.
fn merge(batch: &Batch, chosen: &[bool], indexes: &[u32], rewritten: Rewritten) -> Rewritten {
    let in_batch = |index: u32| indexes.get(index as usize).copied().unwrap_or_default();
    let mut builder = BatchBuilder::default();
    let mut origins = Vec::with_capacity(batch.len());
    // Common headers may differ now, and stand with each record for that.
    let mut push = |record: &towpath_model::Record<'_>, from: &Batch, origin: u32| {
        let run = builder.import_run(record);
        builder.run(run);
        builder.key(record.key.bytes);
        builder.value(record.value.bytes);
        for (name, payload) in record.headers() {
            let form = builder.import_form(from, payload.form);
            builder.header(name, form, payload.bytes);
        }
        builder.end(record.timestamp, record.offset);
        origins.push(origin);
    };
    let mut changed = rewritten.records.records().zip(&rewritten.origins).peekable();
    for (record, is_chosen) in batch.records().zip(chosen) {
        let index = record.index as u32;
        if !*is_chosen {
            push(&record, batch, index);
        }
        while let Some((record, _)) = changed.next_if(|(_, origin)| in_batch(**origin) == index) {
            push(&record, &rewritten.records, index);
        }
    }
    let failures = rewritten.failures.into_iter().map(|(index, fault)| (in_batch(index), fault)).collect();
    Rewritten { records: builder.build(), origins, filtered: rewritten.filtered, failures }
}

/// Hands a batch to a component. Records that it refuses are taken out and the others handed over again.
async fn apply_plugin(transform: &mut dyn Transform, batch: &Batch) -> Result<Rewritten, ConnectorError> {
    let mut failures = Vec::new();
    // Which record of `batch` each record of `rest` is; none when `rest` is still all of it.
    let mut rest: Option<Rewritten> = None;
    loop {
        let input = rest.as_ref().map_or(batch, |rest| &rest.records);
        let index_in_batch = |index: u32| match &rest {
            Some(rest) => rest.origins.get(index as usize).copied().unwrap_or_default(),
            None => index,
        };
        if input.is_empty() {
            return Ok(Rewritten { failures, ..Rewritten::default() });
        }
        match transform.apply(input).await {
            Ok(transformed) => {
                let sound = transformed.origins.len() == transformed.records.len()
                    && transformed.origins.is_sorted()
                    && transformed.origins.last().is_none_or(|last| (*last as usize) < input.len());
                if !sound {
                    return Err(ConnectorError::fatal("the transform's origins do not fit its records"));
                }
                let mut distinct = transformed.origins.clone();
                distinct.dedup();
                let filtered = (input.len() - distinct.len()) as u64;
                let origins = transformed.origins.iter().map(|origin| index_in_batch(*origin)).collect();
                return Ok(Rewritten { records: transformed.records, origins, filtered, failures });
            }
            Err(ConnectorError::Records(refused)) if !refused.is_empty() => {
                let refused: HashMap<u32, RecordError> =
                    refused.into_iter().map(|error| (error.index, error)).collect();
                let mut draft = Draft::of(input);
                let mut kept = Vec::new();
                for record in input.records() {
                    let index = record.index as u32;
                    match refused.get(&index) {
                        Some(error) => {
                            let fault = Fault { code: error.code.clone().into(), reason: error.reason.clone() };
                            failures.push((index_in_batch(index), fault));
                        }
                        None => {
                            kept.push(index_in_batch(index));
                            draft.keep(&record);
                        }
                    }
                }
                if kept.len() == input.len() {
                    return Err(ConnectorError::fatal("the transform refused records that it was not given"));
                }
                rest = Some(Rewritten { records: draft.finish().records, origins: kept, ..Rewritten::default() });
            }
            Err(error) => return Err(error),
        }
    }
}
