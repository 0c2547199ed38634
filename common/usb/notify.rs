// SPDX-License-Identifier: GPL-2.0

//! Hearing of devices that come and go.
//!
//! The callbacks run inside usbcore's own probe and removal of the device, with the
//! lock of that device held. They may claim ports of a hub that appears
//! ([`crate::port`]) and enqueue work; they must not take device locks, bind or
//! unbind anything, or wait for work that does.
//!
//! `added` comes after the device was configured and its interfaces were offered to
//! drivers, or was left alone because its port is owned. `removed` comes after its
//! interfaces were unbound if it was pulled out, and before if only its driver is unbound
//! (`usb_generic_driver_disconnect()`). Devices that exist already are not announced:
//! register first, then look at them all with `Device::for_each`.

use crate::{
    chain::{
        Chain,
        Member, //
    },
    lock::LockedDevice, //
};
use kernel::{
    bindings,
    ffi,
    prelude::*,
    sync::Arc, //
};

/// Who wants to hear of devices.
pub trait Listener: Send + Sync + 'static {
    /// A device appeared, hubs and root hubs included.
    fn added(&self, device: &LockedDevice<'_>);
    /// A device is gone for good; what comes back is another `Device`.
    fn removed(&self, device: &LockedDevice<'_>);
}

/// Who listens to usbcore (`usb_notifier_list` of drivers/usb/core/notify.c).
pub struct Devices<L>(Arc<L>);

// SAFETY: a chain of the `blocking_notifier_chain` kind.
unsafe impl<L: Listener> Chain for Devices<L> {
    unsafe fn add(&self, block: *mut bindings::notifier_block) -> Result {
        // SAFETY: by the contract of this function.
        unsafe { bindings::usb_register_notify(block) };
        Ok(())
    }

    unsafe fn remove(&self, block: *mut bindings::notifier_block) {
        // SAFETY: by the contract of this function.
        unsafe { bindings::usb_unregister_notify(block) };
    }

    unsafe fn tell(&self, event: ffi::c_ulong, data: *mut ffi::c_void) {
        const ADDED: ffi::c_ulong = bindings::USB_DEVICE_ADD as ffi::c_ulong;
        const REMOVED: ffi::c_ulong = bindings::USB_DEVICE_REMOVE as ffi::c_ulong;
        // Other events (a bus comes or goes) have a `struct usb_bus` as data.
        if !matches!(event, ADDED | REMOVED) {
            return;
        }
        // SAFETY: for these events `data` is a valid `struct usb_device`; usbcore sends them
        // from the device's probe and its removal, under its lock.
        let device = unsafe { LockedDevice::from_raw(data.cast()) };
        if event == ADDED {
            self.0.added(&device);
        } else {
            self.0.removed(&device);
        }
    }
}

/// A registered [`Listener`].
pub type Notifier<L> = Member<Devices<L>>;

/// Registers a listener.
pub fn listen<L: Listener>(listener: Arc<L>) -> impl PinInit<Notifier<L>, Error> {
    Member::new(Devices(listener))
}
