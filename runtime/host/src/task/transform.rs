//! A transform at work.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use towpath_model::{Batch, Config, ConnectorError, Transform, Transformed};

use crate::bindings::transform::Part;
use crate::columns::{batch_from_wit, batch_to_wit};
use crate::guest::{Instance, malformed};
use crate::translate::{config_to_wit, error_from_wit};

/// A transform component at work.
pub(crate) struct TransformStep {
    instance: Instance<Part>,
}

impl TransformStep {
    /// Opens the transform.
    ///
    /// # Errors
    /// When it cannot start.
    pub(crate) async fn open(mut instance: Instance<Part>, visible: &Config) -> Result<Self, ConnectorError> {
        let (config, limit) = (config_to_wit(visible), instance.scope().services.limits.call_max);
        let call = instance.call("open", limit, move |exports, store| {
            async move { exports.towpath_connect_transform().call_open(store, &config).await }.boxed()
        });
        let answer = call.await?;
        answer.map_err(|error| error_from_wit(error, &instance.scope().redactor))?;
        Ok(Self { instance })
    }

    fn call_max(&self) -> Duration {
        self.instance.scope().services.limits.call_max
    }
}

#[async_trait]
impl Transform for TransformStep {
    async fn apply(&mut self, records: &Batch) -> Result<Transformed, ConnectorError> {
        let (count, limit) = (records.len(), self.call_max());
        let records = batch_to_wit(records);
        let call = self.instance.call("apply", limit, move |exports, store| {
            async move { exports.towpath_connect_transform().call_apply(store, &records).await }.boxed()
        });
        let answer = call.await?;
        let transformed = answer.map_err(|error| error_from_wit(error, &self.instance.scope().redactor))?;
        let records = match batch_from_wit(transformed.records, &self.instance.scope().services.limits) {
            Ok(records) => records,
            Err(reason) => return self.instance.end(malformed("apply", reason)),
        };
        let origins = transformed.origins;
        if origins.len() != records.len() || origins.iter().any(|origin| *origin as usize >= count) {
            return self.instance.end(malformed("apply", "the origins do not fit the records"));
        }
        Ok(Transformed { records, origins })
    }
}
