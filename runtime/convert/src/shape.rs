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
    by_text: HashMap<Arc<str>, Arc<T>>,
    of_batch: Vec<Option<Arc<T>>>,
}

impl<T> Default for Shapes<T> {
    fn default() -> Self {
        Self { by_text: HashMap::new(), of_batch: Vec::new() }
    }
}

impl<T> Shapes<T> {
    /// A new batch begins.
    pub(crate) fn begin(&mut self, batch: &Batch) {
        self.of_batch.clear();
        self.of_batch.resize_with(batch.columns().schemas.len(), || None);
    }

    /// What was compiled from the schema with this index in the batch that has begun.
    #[inline]
    pub(crate) fn get(
        &mut self,
        batch: &Batch,
        index: Option<u32>,
        compile: impl FnOnce(Schema) -> Result<T, Fault>,
    ) -> Result<&Arc<T>, Fault> {
        let index = index.unwrap_or_default();
        let slot = self.of_batch.get_mut(index as usize).ok_or_else(|| Fault::schema("a datum has no schema"))?;
        if slot.is_none() {
            *slot = Some(compiled(&mut self.by_text, batch.schema(index), compile)?);
        }
        slot.as_ref().ok_or_else(|| Fault::schema("a datum has no schema"))
    }
}

fn compiled<T>(
    known: &mut HashMap<Arc<str>, Arc<T>>,
    text: &Arc<str>,
    compile: impl FnOnce(Schema) -> Result<T, Fault>,
) -> Result<Arc<T>, Fault> {
    if let Some(found) = known.get(text) {
        return Ok(found.clone());
    }
    if known.len() >= SHAPES_MAX {
        known.clear();
    }
    let schema = Schema::parse(text).map_err(|error| Fault::schema(error.to_string()))?;
    let fresh = Arc::new(compile(schema)?);
    known.insert(text.clone(), fresh.clone());
    Ok(fresh)
}
