//! Schemas of a path, each compiled once and found again by its text.
//!
//! A batch refers to schemas by index; [`Shapes::begin`] forgets the indexes of the batch before, so that the text is
//! looked up once a batch and schema, never once a record.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Batch, Schema};

use crate::fault::Fault;

/// More schemas than any path uses at a time; when it is passed, all are forgotten and compiled anew.
const SHAPES_MAX: usize = 4096;

/// Things compiled from schemas.
pub(crate) struct Shapes<T> {
    compiled: Vec<T>,
    /// Where in `compiled` what belongs to a text is.
    by_text: HashMap<Arc<str>, usize>,
    of_batch: Vec<Option<usize>>,
}

impl<T> Default for Shapes<T> {
    fn default() -> Self {
        Self { compiled: Vec::new(), by_text: HashMap::new(), of_batch: Vec::new() }
    }
}

impl<T> Shapes<T> {
    /// A new batch begins.
    pub(crate) fn begin(&mut self, batch: &Batch) {
        if self.compiled.len() >= SHAPES_MAX {
            self.compiled.clear();
            self.by_text.clear();
        }
        self.of_batch.clear();
        self.of_batch.resize(batch.columns().schemas.len(), None);
    }

    /// What was compiled from the schema with this index in the batch that has begun.
    #[inline]
    pub(crate) fn get(
        &mut self,
        batch: &Batch,
        index: Option<u32>,
        compile: impl FnOnce(Schema) -> Result<T, Fault>,
    ) -> Result<&mut T, Fault> {
        let unknown = || Fault::schema("a datum has no schema");
        let index = index.unwrap_or_default();
        let place = match self.of_batch.get(index as usize).ok_or_else(unknown)? {
            Some(place) => *place,
            None => {
                let place = self.place(batch.schema(index), compile)?;
                if let Some(slot) = self.of_batch.get_mut(index as usize) {
                    *slot = Some(place);
                }
                place
            }
        };
        self.compiled.get_mut(place).ok_or_else(unknown)
    }

    fn place(&mut self, text: &Arc<str>, compile: impl FnOnce(Schema) -> Result<T, Fault>) -> Result<usize, Fault> {
        if let Some(place) = self.by_text.get(text) {
            return Ok(*place);
        }
        let schema = Schema::parse(text).map_err(|error| Fault::schema(error.to_string()))?;
        let place = self.compiled.len();
        self.compiled.push(compile(schema)?);
        self.by_text.insert(text.clone(), place);
        Ok(place)
    }
}
