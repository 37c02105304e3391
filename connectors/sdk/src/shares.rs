//! A source whose work several instances of it do together: the traits for its author, and what the component's exports do
//! with them.
//!
//! The instance that is the task implements [`SharedSource`]: it hands out shares and hears how far they are read. Further
//! instances are its [`Reader`]s; the host makes as many as the task has shares for, and takes them away when one fails.
//! Shares and reports are bytes of the source's own making. Nothing but what stands in them, and the context, is common to
//! the instances.

use std::time::Duration;

use towpath_model::{Batch, Checkpoint, ConnectorError};

use crate::{Context, Source};

/// What the task wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// To be polled itself. A source that shares nothing just now always answers so.
    Task,
    /// A reader is to work on this share. Only an answer while one is free.
    Share(Vec<u8>),
    /// Nothing before a reader has come further. Only an answer while one is at work; it is asked again every few seconds.
    Wait,
}

/// Whether a reader has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareProgress {
    /// Read again at once.
    More,
    /// Nothing has arrived.
    Idle,
    /// The share is read to its end.
    Done,
}

/// What a reader has read of its share.
#[derive(Clone, Debug)]
pub struct Part {
    /// The records.
    pub records: Batch,
    /// How far the share is read after all of them, for the task. Not looked at while there is nothing new.
    pub report: Vec<u8>,
    /// Whether there is more.
    pub progress: ShareProgress,
}

/// A source that can divide its work.
pub trait SharedSource: Source {
    /// What an instance is that works on shares.
    type Reader: Reader;

    /// What comes next, while so many more readers could work. Asked before each poll and after each step of a reader.
    ///
    /// # Errors
    /// As those of [`Source::poll`].
    fn next_turn(&mut self, free: u32) -> Result<Turn, ConnectorError>;

    /// A reader has come so far: the positions that become durable together with the records of the same part. Reports come
    /// in the order in which their records are written.
    ///
    /// # Errors
    /// When the report is not one of the source's own.
    fn fold(&mut self, report: &[u8]) -> Result<Vec<Checkpoint>, ConnectorError>;

    /// Every reader is gone, after an error of one of them: shares that were not reported as done are the task's again.
    fn recall(&mut self);
}

/// An instance that works on shares, one at a time. After a fatal error no call follows.
pub trait Reader: Sized + 'static {
    /// Starts. The context is the task's.
    ///
    /// # Errors
    /// When the reader cannot start.
    fn open(context: Context) -> Result<Self, ConnectorError>;

    /// Begins with a share.
    ///
    /// # Errors
    /// When it cannot be read.
    fn begin(&mut self, share: &[u8]) -> Result<(), ConnectorError>;

    /// Returns records as soon as there are any, and nothing after `max_wait`.
    ///
    /// # Errors
    /// When reading failed. Whatever the error, the reader is given up; a retriable one lets the task go on.
    fn read(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Part, ConnectorError>;

    /// The reader is not called for now: keep its connections alive, read nothing.
    ///
    /// # Errors
    /// When a connection is lost.
    fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Lets go of everything. Not called when the reader is ended in the middle of a share.
    fn close(self) {}
}

/// Exports a [`SharedSource`] as a component of the world `shared-source-connector`. Natively it expands to nothing.
#[macro_export]
macro_rules! export_shared_source {
    ($source:ty) => {
        $crate::export_source!($source);

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
        mod towpath_shares {
            use super::*;
            use super::towpath_component::TASK;
            use $crate::bindings::imports::towpath::connect::types;
            use $crate::bindings::shares::exports::towpath::connect::shares;
            use $crate::component::shares as glue;

            struct Shares;

            type TheReader = <$source as $crate::SharedSource>::Reader;

            ::std::thread_local! {
                static READER: ::std::cell::RefCell<Option<TheReader>> = const { ::std::cell::RefCell::new(None) };
            }

            impl shares::Guest for Shares {
                fn next_turn(free: u32) -> Result<shares::Turn, types::Error> {
                    TASK.with_borrow_mut(|task| glue::next_turn(task.as_mut(), free))
                }
                fn fold(report: Vec<u8>) -> Result<Vec<types::Checkpoint>, types::Error> {
                    TASK.with_borrow_mut(|task| glue::fold(task.as_mut(), report))
                }
                fn recall() {
                    TASK.with_borrow_mut(|task| glue::recall(task.as_mut()))
                }
                fn open_reader(context: types::Context) -> Result<(), types::Error> {
                    READER.with_borrow_mut(|reader| glue::open(reader, context))
                }
                fn begin(share: Vec<u8>) -> Result<(), types::Error> {
                    READER.with_borrow_mut(|reader| glue::begin(reader.as_mut(), share))
                }
                fn read(wait: u32, records: u32, bytes: u32) -> Result<shares::Part, types::Error> {
                    READER.with_borrow_mut(|reader| glue::read(reader.as_mut(), wait, records, bytes))
                }
                fn keep_reader_alive() -> Result<(), types::Error> {
                    READER.with_borrow_mut(|reader| glue::keep_alive(reader.as_mut()))
                }
                fn close_reader() {
                    if let Some(reader) = READER.take() {
                        glue::close(reader);
                    }
                }
            }

            $crate::bindings::shares::export!(Shares with_types_in $crate::bindings::shares);
        }
    };
}

#[doc(hidden)]
pub mod exports {
    //! The exports of the interface, in terms of the author's traits.
    #![allow(missing_docs, clippy::missing_errors_doc, clippy::needless_pass_by_value)]

    use super::{Duration, Reader, ShareProgress, SharedSource, Turn};
    use crate::bindings::imports::towpath::connect::types as wit;
    use crate::bindings::shares::exports::towpath::connect::shares as wit_shares;
    use crate::columns::batch_to_wit;
    use crate::translate::{checkpoints_to_wit, context_from_wit, error_to_wit, opened};

    pub fn next_turn<T: SharedSource>(task: Option<&mut T>, free: u32) -> Result<wit_shares::Turn, wit::Error> {
        let turn = opened(task)?.next_turn(free).map_err(error_to_wit)?;
        Ok(match turn {
            Turn::Task => wit_shares::Turn::Task,
            Turn::Share(share) => wit_shares::Turn::Share(share),
            Turn::Wait => wit_shares::Turn::Wait,
        })
    }

    pub fn fold<T: SharedSource>(task: Option<&mut T>, report: Vec<u8>) -> Result<Vec<wit::Checkpoint>, wit::Error> {
        opened(task)?.fold(&report).map(checkpoints_to_wit).map_err(error_to_wit)
    }

    pub fn recall<T: SharedSource>(task: Option<&mut T>) {
        if let Some(task) = task {
            task.recall();
        }
    }

    pub fn open<R: Reader>(reader: &mut Option<R>, context: wit::Context) -> Result<(), wit::Error> {
        *reader = Some(R::open(context_from_wit(context)).map_err(error_to_wit)?);
        Ok(())
    }

    pub fn begin<R: Reader>(reader: Option<&mut R>, share: Vec<u8>) -> Result<(), wit::Error> {
        opened(reader)?.begin(&share).map_err(error_to_wit)
    }

    pub fn read<R: Reader>(
        reader: Option<&mut R>,
        max_wait_ms: u32,
        max_records: u32,
        max_bytes: u32,
    ) -> Result<wit_shares::Part, wit::Error> {
        let max_wait = Duration::from_millis(max_wait_ms.into());
        let part = opened(reader)?.read(max_wait, max_records, max_bytes).map_err(error_to_wit)?;
        Ok(wit_shares::Part {
            records: batch_to_wit(part.records),
            report: part.report,
            progress: match part.progress {
                ShareProgress::More => wit_shares::Progress::More,
                ShareProgress::Idle => wit_shares::Progress::Idle,
                ShareProgress::Done => wit_shares::Progress::Done,
            },
        })
    }

    pub fn keep_alive<R: Reader>(reader: Option<&mut R>) -> Result<(), wit::Error> {
        opened(reader)?.keep_alive().map_err(error_to_wit)
    }

    pub fn close<R: Reader>(reader: R) {
        reader.close();
    }
}
