// SPDX-License-Identifier: GPL-2.0

//! The crate from outside, as the shell uses it: one test program, so that what
//! its files have in common is there once.

mod claim;
mod port;
mod returned;
mod rules;
mod small;
mod withdrawn;
