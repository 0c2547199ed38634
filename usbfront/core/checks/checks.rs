// SPDX-License-Identifier: GPL-2.0

//! Checks of the crate from outside, as the shell uses it, that need nothing of
//! their host: `cargo test` runs them, and so does KUnit in a kernel. The host
//! brings the scheduler's tables.

mod packets;
pub(crate) mod root_hub;
mod scheduler;
mod sending;
mod streams;
mod suspend;
mod transfer;
