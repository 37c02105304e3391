//! A connector that reads a system: the trait for its author, and what the component's exports do with it.

use std::time::Duration;

use towpath_model::{Checkpoint, Config, ConnectorError, Fault, Polled, Spec};

use crate::Context;

/// A task that reads a system and hands records to the log. Calls never overlap; after a fatal error no call follows.
pub trait Source: Sized + 'static {
    /// What the connector says of itself. Does no IO.
    fn spec() -> Spec;

    /// Faults of a configuration that the definition of its keys cannot express. With `connect` it may do IO to look at the
    /// systems concerned, changing nothing there; without, it looks at the configuration alone.
    ///
    /// # Errors
    /// When the configuration could not be examined.
    fn validate(_config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(Vec::new())
    }

    /// Divides the work: one configuration for each task, at most `max_tasks`. One task unless it is said otherwise.
    ///
    /// # Errors
    /// When the work could not be divided.
    fn plan(config: &Config, _max_tasks: u32) -> Result<Vec<Config>, ConnectorError> {
        Ok(vec![config.clone()])
    }

    /// An operator wants these positions: check them. Called without a task.
    ///
    /// # Errors
    /// When a position cannot be one of this source.
    fn alter_offsets(_offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Starts at the stored positions; none is a first start. Called again after a retriable error.
    ///
    /// # Errors
    /// When the task cannot start.
    fn open(context: Context, offsets: Vec<Checkpoint>) -> Result<Self, ConnectorError>;

    /// Returns records as soon as there are any, nothing after `max_wait`, and soon when a wait is interrupted.
    ///
    /// # Errors
    /// When reading failed; a retriable one keeps the task, so its state must allow the next call.
    fn poll(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Polled, ConnectorError>;

    /// These positions are durable in the log: the source may be told that it can forget what lies before.
    ///
    /// # Errors
    /// When the source could not be told.
    fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError>;

    /// The log takes no records for now: keep connections alive, read nothing.
    ///
    /// # Errors
    /// When a connection is lost.
    fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Lets go of everything.
    fn close(self) {}
}

/// Exports a [`Source`] as a component of the world `source-connector`. Natively it expands to nothing.
#[macro_export]
macro_rules! export_source {
    ($source:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
        mod towpath_component {
            use super::*;
            use $crate::bindings::imports::towpath::connect::{records, types};
            use $crate::bindings::connector::exports::towpath::connect::connector as connector_exports;
            use $crate::bindings::source::exports::towpath::connect as exports;
            use $crate::component::{connector, source as glue};

            struct Component;

            ::std::thread_local! {
                pub(super) static TASK: ::std::cell::RefCell<Option<$source>> = const { ::std::cell::RefCell::new(None) };
            }

            impl connector_exports::Guest for Component {
                fn describe() -> connector_exports::Spec {
                    connector::describe(<$source as $crate::Source>::spec())
                }
                fn validate(config: types::Config, connect: bool) -> Result<Vec<types::Fault>, types::Error> {
                    let config = connector::config_from_wit(config);
                    connector::validate(<$source as $crate::Source>::validate(&config, connect))
                }
                fn plan(config: types::Config, max_tasks: u32) -> Result<Vec<types::Config>, types::Error> {
                    connector::plan(<$source as $crate::Source>::plan(&connector::config_from_wit(config), max_tasks))
                }
            }

            impl exports::source::Guest for Component {
                fn open(context: types::Context, offsets: Vec<exports::source::Checkpoint>) -> Result<(), types::Error> {
                    TASK.with_borrow_mut(|task| glue::open(task, context, offsets))
                }
                fn poll(wait: u32, records: u32, bytes: u32) -> Result<exports::source::Polled, types::Error> {
                    TASK.with_borrow_mut(|task| glue::poll(task.as_mut(), wait, records, bytes))
                }
                fn commit(offsets: Vec<exports::source::Checkpoint>) -> Result<(), types::Error> {
                    TASK.with_borrow_mut(|task| glue::commit(task.as_mut(), offsets))
                }
                fn keep_alive() -> Result<(), types::Error> {
                    TASK.with_borrow_mut(|task| glue::keep_alive(task.as_mut()))
                }
                fn alter_offsets(offsets: Vec<exports::source::Checkpoint>) -> Result<(), types::Error> {
                    glue::alter_offsets::<$source>(offsets)
                }
                fn close() {
                    if let Some(task) = TASK.take() {
                        glue::close(task);
                    }
                }
            }

            $crate::bindings::connector::export!(Component with_types_in $crate::bindings::connector);
            $crate::bindings::source::export!(Component with_types_in $crate::bindings::source);
        }
    };
}

#[doc(hidden)]
pub mod exports {
    //! The exports of the world, in terms of the author's trait.
    #![allow(missing_docs, clippy::missing_errors_doc, clippy::needless_pass_by_value)]

    use super::{Duration, Source};
    use crate::bindings::imports::towpath::connect::types as wit;
    use crate::bindings::source::exports::towpath::connect::source as wit_source;
    use crate::columns::batch_to_wit;
    use crate::translate::{checkpoints_from_wit, checkpoints_to_wit, context_from_wit, error_to_wit, opened};

    pub fn open<T: Source>(
        task: &mut Option<T>,
        context: wit::Context,
        offsets: Vec<wit_source::Checkpoint>,
    ) -> Result<(), wit::Error> {
        let opened = T::open(context_from_wit(context), checkpoints_from_wit(offsets)).map_err(error_to_wit)?;
        *task = Some(opened);
        Ok(())
    }

    pub fn poll<T: Source>(
        task: Option<&mut T>,
        max_wait_ms: u32,
        max_records: u32,
        max_bytes: u32,
    ) -> Result<wit_source::Polled, wit::Error> {
        let max_wait = Duration::from_millis(max_wait_ms.into());
        let polled = opened(task)?.poll(max_wait, max_records, max_bytes).map_err(error_to_wit)?;
        Ok(wit_source::Polled {
            records: batch_to_wit(polled.records),
            checkpoints: checkpoints_to_wit(polled.checkpoints),
            progress: match polled.progress {
                towpath_model::Progress::More => wit_source::Progress::More,
                towpath_model::Progress::Idle => wit_source::Progress::Idle,
                towpath_model::Progress::Finished => wit_source::Progress::Finished,
            },
            lag_ms: polled.lag_ms,
            lag_bytes: polled.lag_bytes,
            transaction_ends: polled.transaction_ends,
        })
    }

    pub fn commit<T: Source>(task: Option<&mut T>, offsets: Vec<wit_source::Checkpoint>) -> Result<(), wit::Error> {
        opened(task)?.commit(&checkpoints_from_wit(offsets)).map_err(error_to_wit)
    }

    pub fn keep_alive<T: Source>(task: Option<&mut T>) -> Result<(), wit::Error> {
        opened(task)?.keep_alive().map_err(error_to_wit)
    }

    pub fn alter_offsets<T: Source>(offsets: Vec<wit_source::Checkpoint>) -> Result<(), wit::Error> {
        T::alter_offsets(&checkpoints_from_wit(offsets)).map_err(error_to_wit)
    }

    pub fn close<T: Source>(task: T) {
        task.close();
    }
}
