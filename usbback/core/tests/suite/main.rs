// SPDX-License-Identifier: GPL-2.0

//! The crate from outside, as the shell uses it: one test program, so that what
//! its files have in common is there once.

#[path = "../../checks/checks.rs"]
mod checks;
mod claim;
mod port;
mod rules;
mod small;
