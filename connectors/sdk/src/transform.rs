//! A step between connector and converter: the trait for its author, and what the component's exports do with it.

use towpath_model::{Batch, Config, ConnectorError, Fault, Spec, Transformed};

/// Records in, records out. Calls never overlap; after a fatal error no call follows.
pub trait Transform: Sized + 'static {
    /// What the transform says of itself. Does no IO.
    fn spec() -> Spec;

    /// Faults of a configuration that the definition of its keys cannot express. With `connect` it may do IO to look at the
    /// systems concerned, changing nothing there; without, it looks at the configuration alone.
    ///
    /// # Errors
    /// When the configuration could not be examined.
    fn validate(_config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(Vec::new())
    }

    /// Starts.
    ///
    /// # Errors
    /// When the transform cannot start.
    fn open(config: Config) -> Result<Self, ConnectorError>;

    /// Changes, drops or multiplies records and says which one each result was made of.
    ///
    /// # Errors
    /// When records cannot be transformed.
    fn apply(&mut self, records: Batch) -> Result<Transformed, ConnectorError>;

    /// Lets go of everything.
    fn close(self) {}
}

/// Exports a [`Transform`] as a component of the world `transform-connector`. Natively it expands to nothing.
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]
        mod towpath_component {
            use super::*;
            use $crate::bindings::imports::towpath::connect::{records, types};
            use $crate::bindings::connector::exports::towpath::connect::connector as connector_exports;
            use $crate::bindings::transform::exports::towpath::connect as exports;
            use $crate::component::{connector, transform as glue};

            struct Component;

            ::std::thread_local! {
                static STEP: ::std::cell::RefCell<Option<$transform>> = const { ::std::cell::RefCell::new(None) };
            }

            impl connector_exports::Guest for Component {
                fn describe() -> connector_exports::Spec {
                    connector::describe(<$transform as $crate::Transform>::spec())
                }
                fn validate(config: types::Config, connect: bool) -> Result<Vec<types::Fault>, types::Error> {
                    let config = connector::config_from_wit(config);
                    connector::validate(<$transform as $crate::Transform>::validate(&config, connect))
                }
                fn plan(config: types::Config, _max_tasks: u32) -> Result<Vec<types::Config>, types::Error> {
                    connector::plan(Ok(vec![connector::config_from_wit(config)]))
                }
            }

            impl exports::transform::Guest for Component {
                fn open(config: types::Config) -> Result<(), types::Error> {
                    STEP.with_borrow_mut(|step| glue::open(step, config))
                }
                fn apply(records: records::Batch) -> Result<exports::transform::Transformed, types::Error> {
                    STEP.with_borrow_mut(|step| glue::apply(step.as_mut(), records))
                }
                fn close() {
                    if let Some(step) = STEP.take() {
                        glue::close(step);
                    }
                }
            }

            $crate::bindings::connector::export!(Component with_types_in $crate::bindings::connector);
            $crate::bindings::transform::export!(Component with_types_in $crate::bindings::transform);
        }
    };
}

#[doc(hidden)]
pub mod exports {
    //! The exports of the world, in terms of the author's trait.
    #![allow(missing_docs, clippy::missing_errors_doc, clippy::needless_pass_by_value)]

    use super::Transform;
    use crate::bindings::imports::towpath::connect::records;
    use crate::bindings::imports::towpath::connect::types as wit;
    use crate::bindings::transform::exports::towpath::connect::transform as wit_transform;
    use crate::columns::{batch_from_wit, batch_to_wit};
    use crate::translate::{config_from_wit, error_to_wit, fatal, opened};

    pub fn open<T: Transform>(step: &mut Option<T>, config: wit::Config) -> Result<(), wit::Error> {
        *step = Some(T::open(config_from_wit(config)).map_err(error_to_wit)?);
        Ok(())
    }

    pub fn apply<T: Transform>(
        step: Option<&mut T>,
        records: records::Batch,
    ) -> Result<wit_transform::Transformed, wit::Error> {
        let records = batch_from_wit(records).map_err(|error| fatal(error.to_string()))?;
        let transformed = opened(step)?.apply(records).map_err(error_to_wit)?;
        Ok(wit_transform::Transformed { records: batch_to_wit(transformed.records), origins: transformed.origins })
    }

    pub fn close<T: Transform>(step: T) {
        step.close();
    }
}
