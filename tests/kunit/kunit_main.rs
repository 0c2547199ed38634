// SPDX-License-Identifier: GPL-2.0

//! pvusb_kunit: the checks of the pure crates, and of the safe layers, in a kernel.
//!
//! Needs a kernel with `CONFIG_KUNIT=y`, such as the debug kernel, in a domain: it grants
//! pages to itself. Loading it runs everything and prints KTAP; a check
//! that fails with a panic takes the kernel with it, as it would in what ships.

#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use kernel::prelude::*;

#[path = "../../usbback/core/checks/checks.rs"]
mod backend;
#[path = "../../usbfront/core/checks/checks.rs"]
mod frontend;
mod grants;
mod hcd;
mod patience;
mod queue;
mod real_ring;
mod table;
#[path = "../../usbfront/tables.rs"]
mod tables;
mod urb_life;
#[path = "../../common/usbif/checks/wire.rs"]
mod wire;

module! {
    type: Kunit,
    name: "pvusb_kunit",
    authors: ["The PVUSB developers"],
    description: "KUnit suites of PVUSB",
    license: "GPL",
}

/// Loading the module is all it does: the kernel finds the suites by their section.
struct Kunit;

impl kernel::Module for Kunit {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
