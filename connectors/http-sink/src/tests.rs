//! The sink against an endpoint that fails on demand: every rule once, and in [`simulation`] all of them at random.

mod endpoint;
mod rules;
mod simulation;
