//! The host against a component that misbehaves: each kind ends its own task with the right code, and a task beside it on the
//! same thread never notices. What a component is not allowed is refused with the key that would permit it.

#![allow(unreachable_pub, reason = "a test program has no one to reach it")]

mod capabilities;
mod faults;
mod plugins;
mod readers;
mod support;
mod tls;
