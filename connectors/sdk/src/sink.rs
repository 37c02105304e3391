//! A connector that writes to a system: the trait for its author, and what the component's exports do with it.

use std::time::Duration;

use towpath_model::{Batch, Config, ConnectorError, Fault, Flushed, Position, Spec, TopicPartition};

use crate::Context;

/// A task that writes records of the log to a system. Calls never overlap; after a fatal error no call follows.
pub trait Sink: Sized + 'static {
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

    /// Divides the work: one configuration for each task, at most `max_tasks`. As many equal tasks as are allowed, unless it
    /// is said otherwise: the partitions of the topics are shared out among them.
    ///
    /// # Errors
    /// When the work could not be divided.
    fn plan(config: &Config, max_tasks: u32) -> Result<Vec<Config>, ConnectorError> {
        Ok((0..max_tasks.max(1)).map(|_| config.clone()).collect())
    }

    /// Starts. Called again after a retriable error.
    ///
    /// # Errors
    /// When the task cannot start.
    fn open(context: Context) -> Result<Self, ConnectorError>;

    /// These partitions are now the task's, each from its offset and with the metadata stored beside it.
    ///
    /// # Errors
    /// When the task cannot take them.
    fn assigned(&mut self, _positions: &[Position]) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// These partitions go elsewhere: what is buffered of them is forgotten.
    ///
    /// # Errors
    /// When the task cannot let them go.
    fn revoked(&mut self, _partitions: &[TopicPartition]) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Takes the batch, to write now or to buffer until `flush`.
    ///
    /// # Errors
    /// Retriable: nothing of the batch was taken and all of it comes again. Records: those were refused, all others taken.
    fn put(&mut self, records: Batch) -> Result<(), ConnectorError>;

    /// Makes durable what is due. `handed_over` is the next offset after what `put` was given, for each partition.
    /// The answer is committed before the next flush.
    ///
    /// # Errors
    /// When nothing could be made durable for now or ever.
    fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError>;

    /// Time until a flush is due (none left: at once), or `None` when only the next `put` can make one due.
    fn next_flush(&self) -> Option<Duration>;

    /// Lets go of everything. What was not flushed comes again after the next start.
    fn close(self) {}
}

/// Exports a [`Sink`] as a component of the world `sink-connector`. Natively it expands to nothing.
#[macro_export]
macro_rules! export_sink {
    ($sink:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
        mod towpath_component {
            use super::*;
            use $crate::bindings::imports::towpath::connect::{records, types};
            use $crate::bindings::connector::exports::towpath::connect::connector as connector_exports;
            use $crate::bindings::sink::exports::towpath::connect as exports;
            use $crate::component::{connector, sink as glue};

            struct Component;

            ::std::thread_local! {
                static TASK: ::std::cell::RefCell<Option<$sink>> = const { ::std::cell::RefCell::new(None) };
            }

            impl connector_exports::Guest for Component {
                fn describe() -> connector_exports::Spec {
                    connector::describe(<$sink as $crate::Sink>::spec())
                }
                fn validate(config: types::Config, connect: bool) -> Result<Vec<types::Fault>, types::Error> {
                    let config = connector::config_from_wit(config);
                    connector::validate(<$sink as $crate::Sink>::validate(&config, connect))
                }
                fn plan(config: types::Config, max_tasks: u32) -> Result<Vec<types::Config>, types::Error> {
                    connector::plan(<$sink as $crate::Sink>::plan(&connector::config_from_wit(config), max_tasks))
                }
            }

            impl exports::sink::Guest for Component {
                fn open(context: types::Context) -> Result<(), types::Error> {
                    TASK.with_borrow_mut(|task| glue::open(task, context))
                }
                fn assigned(positions: Vec<exports::sink::Position>) -> Result<(), types::Error> {
                    TASK.with_borrow_mut(|task| glue::assigned(task.as_mut(), positions))
                }
                fn revoked(partitions: Vec<exports::sink::TopicPartition>) -> Result<(), types::Error> {
                    TASK.with_borrow_mut(|task| glue::revoked(task.as_mut(), partitions))
                }
                fn put(records: records::Batch) -> Result<(), types::Error> {
                    TASK.with_borrow_mut(|task| glue::put(task.as_mut(), records))
                }
                fn flush(handed_over: Vec<exports::sink::Position>) -> Result<exports::sink::Flushed, types::Error> {
                    TASK.with_borrow_mut(|task| glue::flush(task.as_mut(), handed_over))
                }
                fn next_flush() -> Option<u64> {
                    TASK.with_borrow(|task| glue::next_flush(task.as_ref()))
                }
                fn close() {
                    if let Some(task) = TASK.take() {
                        glue::close(task);
                    }
                }
            }

            $crate::bindings::connector::export!(Component with_types_in $crate::bindings::connector);
            $crate::bindings::sink::export!(Component with_types_in $crate::bindings::sink);
        }
    };
}

#[doc(hidden)]
pub mod exports {
    //! The exports of the world, in terms of the author's trait.
    #![allow(missing_docs, clippy::missing_errors_doc, clippy::needless_pass_by_value)]

    use towpath_model::{Position, TopicPartition};

    use super::Sink;
    use crate::bindings::imports::towpath::connect::records;
    use crate::bindings::imports::towpath::connect::types as wit;
    use crate::bindings::sink::exports::towpath::connect::sink as wit_sink;
    use crate::columns::batch_from_wit;
    use crate::translate::{context_from_wit, error_to_wit, fatal, millis, opened};

    pub fn open<T: Sink>(task: &mut Option<T>, context: wit::Context) -> Result<(), wit::Error> {
        let opened = T::open(context_from_wit(context)).map_err(error_to_wit)?;
        *task = Some(opened);
        Ok(())
    }

    pub fn assigned<T: Sink>(task: Option<&mut T>, positions: Vec<wit_sink::Position>) -> Result<(), wit::Error> {
        opened(task)?.assigned(&positions_from_wit(positions)).map_err(error_to_wit)
    }

    pub fn revoked<T: Sink>(task: Option<&mut T>, partitions: Vec<wit_sink::TopicPartition>) -> Result<(), wit::Error> {
        let partitions: Vec<_> =
            partitions.into_iter().map(|partition| TopicPartition::new(partition.topic, partition.partition)).collect();
        opened(task)?.revoked(&partitions).map_err(error_to_wit)
    }

    pub fn put<T: Sink>(task: Option<&mut T>, records: records::Batch) -> Result<(), wit::Error> {
        let records = batch_from_wit(records).map_err(|error| fatal(error.to_string()))?;
        opened(task)?.put(records).map_err(error_to_wit)
    }

    pub fn flush<T: Sink>(
        task: Option<&mut T>,
        handed_over: Vec<wit_sink::Position>,
    ) -> Result<wit_sink::Flushed, wit::Error> {
        let flushed = opened(task)?.flush(&positions_from_wit(handed_over)).map_err(error_to_wit)?;
        Ok(wit_sink::Flushed {
            offsets: positions_to_wit(flushed.offsets),
            rewinds: positions_to_wit(flushed.rewinds),
            late_errors: flushed
                .late_errors
                .into_iter()
                .map(|error| wit_sink::LateError {
                    topic: error.topic.as_ref().into(),
                    partition: error.partition,
                    offset: error.offset,
                    code: error.code,
                    reason: error.reason,
                    retriable: error.retriable,
                })
                .collect(),
        })
    }

    pub fn next_flush<T: Sink>(task: Option<&T>) -> Option<u64> {
        task?.next_flush().map(millis)
    }

    pub fn close<T: Sink>(task: T) {
        task.close();
    }

    fn positions_to_wit(positions: Vec<Position>) -> Vec<wit_sink::Position> {
        let position = |position: Position| wit_sink::Position {
            topic: position.topic.as_ref().into(),
            partition: position.partition,
            offset: position.offset,
            metadata: position.metadata,
        };
        positions.into_iter().map(position).collect()
    }

    fn positions_from_wit(positions: Vec<wit_sink::Position>) -> Vec<Position> {
        let position = |position: wit_sink::Position| Position {
            topic: position.topic.into(),
            partition: position.partition,
            offset: position.offset,
            metadata: position.metadata,
        };
        positions.into_iter().map(position).collect()
    }
}
