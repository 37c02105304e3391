//! The sink against a store that fails on demand: every rule once, and in [`simulation`] all of them at random.

mod rules;
mod simulation;
mod world;
