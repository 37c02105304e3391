//! The worker as a whole, over a log in memory and connectors that follow a script. Time is tokio's, paused: it moves when
//! everybody waits.

mod crash;
mod deferred;
mod folder;
mod log;
mod migration;
mod plugins;
mod positions;
mod requests;
mod rig;
mod sink;
mod source;
mod supervisor;
mod taps;
mod traces;
