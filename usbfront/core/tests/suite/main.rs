// SPDX-License-Identifier: GPL-2.0

//! The crate from outside, as the shell uses it: one test program, so that what
//! its files have in common is there once.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "../../checks/checks.rs"]
mod checks;
mod packets;
mod root_hub;
mod scheduler;
mod table;
mod transfer;
