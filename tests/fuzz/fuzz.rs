// SPDX-License-Identifier: GPL-2.0

//! Runs one check of `tests/invariants` on whatever libFuzzer thinks up. The
//! environment's `CHECK` names it; see `scripts/fuzz`.

#![no_main]

use std::sync::OnceLock;

static CHECK: OnceLock<fn(&[u8])> = OnceLock::new();

fn check() -> fn(&[u8]) {
    let name = std::env::var("CHECK").expect("CHECK: the name of a check");
    let known = invariants::CHECKS.iter().find(|(known, _)| *known == name);
    known.expect("CHECK: no such check").1
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| CHECK.get_or_init(check)(bytes));
