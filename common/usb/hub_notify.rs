// SPDX-License-Identifier: GPL-2.0

//! Hearing of hubs whose ports have come to be, and of drivers that let go of a device.
//!
//! The ports of a hub, and who owns them ([`crate::port`]), live as long as the hub driver
//! has the hub (`hub_disconnect()` frees them). They are made anew with a hub that is
//! plugged in, and also when a hub gets another configuration, is authorized again, or is
//! unbound and bound: of which usbcore's own notifier tells some only. The driver core tells
//! of all of them, on the bus, when the hub driver has bound the hub's interface
//! (`driver_bound()`).
//!
//! The hub's lock is held then (`need_parent_lock` of `usb_if_device_type`), without which the hub
//! driver looks at no port (`hub_event()`): a port that is claimed from here
//! ([`crate::port::HubPort::claim_on`]) is claimed before anything on it is found.

use crate::{
    chain::{
        Chain,
        Member, //
    },
    driver::DriverHandle,
    lock::LockedDevice, //
};
use core::mem::offset_of;
use kernel::{
    bindings,
    error::to_result,
    ffi,
    prelude::*,
    sync::Arc, //
};

/// Who wants to hear of hubs. What [`crate::notify`] says of its callbacks holds here, too.
pub trait Listener: Send + Sync + 'static {
    /// The hub has ports, root hubs included, and nothing on them has been looked at.
    fn bound(&self, hub: &LockedDevice<'_>);

    /// A driver has let go of a device with this name, or of an interface of it.
    fn unbound(&self, device: &[u8]);
}

/// Who listens to the driver core, about the USB bus.
pub struct Bus<L> {
    raw: *const bindings::bus_type,
    listener: Arc<L>,
}

// SAFETY: the pointer is handed to the driver core only, which anybody may call.
unsafe impl<L: Listener> Send for Bus<L> {}

// SAFETY: as above.
unsafe impl<L: Listener> Sync for Bus<L> {}

// SAFETY: a chain of the `blocking_notifier_chain` kind.
unsafe impl<L: Listener> Chain for Bus<L> {
    unsafe fn add(&self, block: *mut bindings::notifier_block) -> Result {
        // SAFETY: the bus is null, which is refused, or usbcore's, which stays as long as
        // this module, which needs usbcore. The block by the contract of this function.
        to_result(unsafe { bindings::bus_register_notifier(self.raw, block) })
    }

    unsafe fn remove(&self, block: *mut bindings::notifier_block) {
        // SAFETY: as above, and it is no error to remove what was added.
        unsafe { bindings::bus_unregister_notifier(self.raw, block) };
    }

    unsafe fn tell(&self, event: ffi::c_ulong, data: *mut ffi::c_void) {
        let interface: *mut bindings::device = data.cast();
        if event == bindings::bus_notifier_event_BUS_NOTIFY_UNBOUND_DRIVER as ffi::c_ulong {
            // SAFETY: for this event `data` is a device that has just lost its driver, whose
            // lock is held; it has a name since it was added.
            let name = unsafe { CStr::from_char_ptr((*interface).kobj.name) };
            // An interface is called as its device, and `:` and more (`usb_set_configuration()`).
            let name = name.to_bytes().split(|&byte| byte == b':').next();
            return self.listener.unbound(name.unwrap_or_default());
        }
        if event != bindings::bus_notifier_event_BUS_NOTIFY_BOUND_DRIVER as ffi::c_ulong {
            return;
        }
        // SAFETY: for this event `data` is a device that has just been bound, and whose lock
        // is held, so that it has a driver, whose name is a string. Names of a bus' drivers
        // are unique, and the USB bus's "hub" is usbcore's, of interfaces; the parent of an
        // interface is its `struct usb_device`, whose lock is held, as said above.
        let hub = unsafe {
            if CStr::from_char_ptr((*(*interface).driver).name) != c"hub" {
                return;
            }
            let device = (*interface)
                .parent
                .byte_sub(offset_of!(bindings::usb_device, dev));
            LockedDevice::from_raw(device.cast())
        };
        self.listener.bound(&hub);
    }
}

/// A registered [`Listener`].
pub type Notifier<L> = Member<Bus<L>>;

/// Registers a listener; by a registered driver the bus is known, which usbcore does
/// not export.
///
/// # Errors
///
/// `EINVAL` the driver is not registered.
pub fn listen<L: Listener>(
    listener: Arc<L>,
    driver: &DriverHandle,
) -> impl PinInit<Notifier<L>, Error> {
    // SAFETY: a field of a valid structure, which `usb_register_driver()` writes before
    // anybody is told of the driver.
    let raw = unsafe { (*driver.device_driver()).bus };
    Member::new(Bus { raw, listener })
}
