// SPDX-License-Identifier: GPL-2.0

//! xen-hcd: a USB host controller whose devices are plugged into another
//! domain.
//!
//! The decisions are in `usbfront_core`; the modules here bring the kernel to
//! it: `frontend.rs` the device on the xenbus, `connection.rs` what exists
//! while it is connected, `kept.rs` what a backend may keep of it, `controller.rs`
//! the host controller, `state.rs` what its lock protects, `transfer.rs` a URB as the
//! decisions see it, `memory.rs` the pages that a request carries, `packets.rs` those of
//! an isochronous one, `tables.rs` the scheduler's tables, `broken.rs` why a backend was
//! given up.
//!
//! Lock order: `Frontend::inner` (a mutex), then the controller's lock (interrupts off),
//! then `Frontend::broken`. That of the list in `kept.rs` is taken under the first only.
//! Nothing is dropped under the controller's or `Frontend::broken` that waits.

use kernel::{prelude::*, InPlaceModule};
use xen::xenbus::Registration;

mod broken;
mod connection;
mod controller;
mod frontend;
mod kept;
mod memory;
mod packets;
mod state;
mod tables;
mod transfer;

module! {
    type: XenHcd,
    name: "xen_hcd",
    authors: ["The PVUSB developers"],
    description: "Xen USB virtual host controller (PVUSB frontend)",
    license: "GPL",
    alias: ["xen:vusb"],
    params: {
        trusted: bool {
            default: true,
            description: "Grant the backend whole pages of data where they lie (default on); off: copy all data through pages of our own",
        },
    },
}

#[pin_data]
struct XenHcd {
    #[pin]
    _driver: Registration<frontend::Driver>,
    // After the driver, whose devices leave something here.
    _kept: kept::List,
}

impl InPlaceModule for XenHcd {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _kept: kept::List::new()?,
            _driver <- Registration::new(c"vusb", module),
        })
    }
}

/// Whether the module's parameter allows pages to be granted in place.
fn trusted() -> bool {
    module_parameters::trusted.value()
}
