// SPDX-License-Identifier: GPL-2.0

//! Module xen_hcd.

use kernel::prelude::*;

module! {
    type: Mod,
    name: "xen_hcd",
    authors: ["The PVUSB developers"],
    description: "x",
    license: "GPL",
}

struct Mod;

impl kernel::Module for Mod {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let _ = xen_sys::bindings::xenbus_state_XenbusStateClosed;
        Ok(Mod)
    }
}
