// SPDX-License-Identifier: GPL-2.0

//! Checks of the crate from outside, as the shell uses it, that need nothing of
//! their host: `cargo test` runs them, and so does KUnit in a kernel.

mod port;
pub(crate) mod request;
mod returned;
mod rules;
mod small;
mod suspend;
mod withdrawn;
