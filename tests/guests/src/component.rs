//! The exports, as the SDK's macro would write them, but for the answers that some modes spoil.
#![allow(unsafe_code, missing_docs, clippy::all)]

use std::cell::RefCell;

use towpath_sdk::bindings::connector::exports::towpath::connect::connector as connector_exports;
use towpath_sdk::bindings::imports::towpath::connect::types;
use towpath_sdk::bindings::source::exports::towpath::connect::source as source_exports;
use towpath_sdk::component::{connector, source as glue};

use super::{Misbehaving, Source};

struct Component;

thread_local! {
    static TASK: RefCell<Option<Misbehaving>> = const { RefCell::new(None) };
}

impl connector_exports::Guest for Component {
    fn describe() -> connector_exports::Spec {
        connector::describe(Misbehaving::spec())
    }
    fn validate(config: types::Config, connect: bool) -> Result<Vec<types::Fault>, types::Error> {
        connector::validate(Misbehaving::validate(&connector::config_from_wit(config), connect))
    }
    fn plan(config: types::Config, max_tasks: u32) -> Result<Vec<types::Config>, types::Error> {
        connector::plan(Misbehaving::plan(&connector::config_from_wit(config), max_tasks))
    }
}

impl source_exports::Guest for Component {
    fn open(context: types::Context, offsets: Vec<source_exports::Checkpoint>) -> Result<(), types::Error> {
        TASK.with_borrow_mut(|task| glue::open(task, context, offsets))
    }
    fn poll(wait: u32, records: u32, bytes: u32) -> Result<source_exports::Polled, types::Error> {
        TASK.with_borrow_mut(|task| {
            let mut polled = glue::poll(task.as_mut(), wait, records, bytes)?;
            if let Some(task) = task {
                super::lies::spoil(&mut polled, &task.setting("mode"));
            }
            Ok(polled)
        })
    }
    fn commit(offsets: Vec<source_exports::Checkpoint>) -> Result<(), types::Error> {
        TASK.with_borrow_mut(|task| glue::commit(task.as_mut(), offsets))
    }
    fn keep_alive() -> Result<(), types::Error> {
        TASK.with_borrow_mut(|task| glue::keep_alive(task.as_mut()))
    }
    fn alter_offsets(offsets: Vec<source_exports::Checkpoint>) -> Result<(), types::Error> {
        glue::alter_offsets::<Misbehaving>(offsets)
    }
    fn close() {
        if let Some(task) = TASK.take() {
            glue::close(task);
        }
    }
}

towpath_sdk::bindings::connector::export!(Component with_types_in towpath_sdk::bindings::connector);
towpath_sdk::bindings::source::export!(Component with_types_in towpath_sdk::bindings::source);
