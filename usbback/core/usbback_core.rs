// SPDX-License-Identifier: GPL-2.0

//! Core.

#![cfg_attr(not(CONFIG_RUST), no_std)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects))]
