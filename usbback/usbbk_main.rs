// SPDX-License-Identifier: GPL-2.0

//! usbbk: lends USB devices of this domain to guests (PVUSB backend).
//!
//! | file | what it is |
//! | --- | --- |
//! | `backend.rs` | what belongs to the module, and the rule lock |
//! | `place.rs`, `place/` | one physical port: reserving it, claiming what is plugged in |
//! | `operation.rs` | what the USB core does to a device on a guest's behalf |
//! | `claims.rs` | the USB interface driver: binds, unbinds, resets, suspends |
//! | `hotplug.rs` | devices that come and go |
//! | `files.rs` | `new_vport`, `remove_vport`, `vports` and the other sysfs files |
//! | `domains.rs` | rules of domains that have died |
//! | `toolstack.rs` | rules that the toolstack writes into `port/N` |
//! | `vusb.rs`, `vusb/` | one virtual host controller of a guest, and the xenbus driver |
//! | `attachment.rs` | a device on a port of a vusb |
//! | `announce.rs` | telling the guest (conn ring) and everybody (`port-N`) |
//! | `connection.rs` | a frontend's rings, from connect to disconnect |
//! | `engine.rs`, `engine/` | the data worker: requests in, responses out |
//! | `transfer.rs` | one request's data, by grant copy, and its URB |
//!
//! # Lock order
//!
//! From the outside in; what is not held is left out:
//!
//! 1. a place's `turn`: taken first of all, by who works on the place
//! 2. a hub's device lock, then the lock of a device plugged into it (USB core)
//! 3. a vusb's `control`
//! 4. the rule lock (`Backend::table`)
//! 5. a connection's `engine`
//! 6. a place's `inner`
//! 7. a vusb's `link`
//! 8. a connection's `handles`, then the gate of a URB
//! 9. a connection's `returned` (interrupts off)
//! 10. a vusb's `statistics`
//!
//! `Backend::watches` is held alone.
//!
//! So nobody who holds the rule lock takes a device lock; and callbacks of the
//! USB core, which hold one, never take a `turn` nor wait for who has one.

use kernel::prelude::*;
use kernel::sync::Arc;

mod announce;
mod attachment;
mod backend;
mod claims;
mod connection;
mod domains;
mod engine;
mod files;
mod hotplug;
mod operation;
mod place;
mod toolstack;
mod transfer;
mod vusb;

use backend::{Backend, BACKEND};

module! {
    type: Usbback,
    name: "usbbk",
    authors: ["The PVUSB developers"],
    description: "Xen PVUSB backend: lends USB devices to guests",
    license: "GPL",
    alias: ["xen-backend:vusb"],
}

/// Shows what the pure core can show to the kernel's formatting, which has a
/// trait of its own.
struct Show<'a, T>(&'a T);

impl<T: core::fmt::Display> kernel::fmt::Display for Show<'_, T> {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        core::fmt::Display::fmt(self.0, f)
    }
}

/// The module. Fields are dropped in this order.
#[pin_data]
struct Usbback {
    /// First no vusb can be bound any more, and none is: each holds the module.
    #[pin]
    xenbus: xen::xenbus::Registration<vusb::driver::VusbDriver>,
    /// Then the devices go back to the host,
    release: ReleaseAll,
    ready: Pin<KBox<xen::watch::Ready<domains::XenstoreUp>>>,
    notifier: Pin<KBox<usb::notify::Notifier<hotplug::Hotplug>>>,
    hubs: Pin<KBox<usb::hub_notify::Notifier<hotplug::Hotplug>>>,
    /// then the files go,
    driver: usb::driver::Registration<claims::Claims>,
    /// then the last work ends, and nothing is left.
    end: End,
    filled: xen::global::Filled<Backend>,
}

impl kernel::InPlaceModule for Usbback {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            if !xen::domain() {
                pr_err!("this kernel does not run under Xen, so there is no guest to serve\n");
                return Err(ENODEV);
            }
            let backend = Backend::new()?;
            let filled = BACKEND.fill(backend.clone())?;
            let end = End(backend.clone());
            let claims = Arc::new(claims::Claims(backend.clone()), GFP_KERNEL)?;
            let driver = usb::driver::Registration::new(&backend.driver, module, claims)?;
            let hotplug = Arc::new(hotplug::Hotplug(backend.clone()), GFP_KERNEL)?;
            let hubs = usb::hub_notify::listen(hotplug.clone(), &backend.driver);
            let hubs = KBox::pin_init(hubs, GFP_KERNEL)?;
            let notifier = KBox::pin_init(usb::notify::listen(hotplug), GFP_KERNEL)?;
            let release = ReleaseAll(backend.clone());
            let up = Arc::new(domains::XenstoreUp(backend.clone()), GFP_KERNEL)?;
            let ready = KBox::pin_init(xen::watch::Ready::new(up), GFP_KERNEL)?;
            // What was plugged in before the notifier, and rules that were
            // written before the driver could claim anything.
            backend.look_again();
            Ok(try_pin_init!(Self {
                filled,
                end,
                driver,
                hubs,
                notifier,
                ready,
                release,
                xenbus <- xen::xenbus::Registration::new(c"vusb", module),
            }))
        })
    }
}

/// Gives every device back when dropped.
struct ReleaseAll(Arc<Backend>);

impl Drop for ReleaseAll {
    fn drop(&mut self) {
        self.0.release_all();
    }
}

/// Waits for the last work when dropped.
struct End(Arc<Backend>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
