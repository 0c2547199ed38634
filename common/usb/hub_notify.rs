// SPDX-License-Identifier: GPL-2.0

//! Hearing of hubs whose ports have come to be.
//!
//! The ports of a hub, and who owns them ([`crate::port`]), live as long as the hub driver
//! has the hub (`hub_disconnect()` frees them). They are made anew with a hub that is
//! plugged in, and also when a hub gets another configuration, is authorized again, or is
//! unbound and bound: of which usbcore's own notifier tells some only. The driver core tells
//! of all of them, on the bus, when the hub driver has bound the hub's interface
//! (`driver_bound()`).
//!
//! The hub's lock is held then (`need_parent_lock` of the USB bus), without which the hub
//! driver looks at no port (`hub_event()`): a port that is claimed from here
//! ([`crate::port::HubPort::claim_on`]) is claimed before anything on it is found.

use crate::{
    driver::DriverHandle,
    lock::LockedDevice, //
};
use core::mem::offset_of;
use kernel::{
    bindings,
    error::to_result,
    ffi,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// Who wants to hear of hubs. What [`crate::notify`] says of its callbacks holds here, too.
pub trait Listener: Send + Sync + 'static {
    /// The hub has ports, root hubs included, and nothing on them has been looked at.
    fn bound(&self, hub: &LockedDevice<'_>);
}

/// A registered [`Listener`].
///
/// Dropping it waits for running callbacks: never from one.
#[pin_data(PinnedDrop)]
pub struct Notifier<L: Listener> {
    bus: *const bindings::bus_type,
    #[pin]
    block: Opaque<Block<L>>,
}

#[repr(C)]
struct Block<L> {
    raw: bindings::notifier_block,
    listener: Arc<L>,
}

// SAFETY: there is nothing to do with a shared `Notifier`.
unsafe impl<L: Listener> Sync for Notifier<L> {}

// SAFETY: it may be unregistered anywhere, and a listener is `Send + Sync`.
unsafe impl<L: Listener> Send for Notifier<L> {}

impl<L: Listener> Notifier<L> {
    /// Registers the listener; by a registered driver the bus is known, which usbcore does
    /// not export.
    ///
    /// # Errors
    ///
    /// `EINVAL` the driver is not registered.
    pub fn new(listener: Arc<L>, driver: &DriverHandle) -> impl PinInit<Self, Error> {
        // SAFETY: a field of a valid structure, which `usb_register_driver()` writes before
        // anybody is told of the driver.
        let usb = unsafe { (*driver.device_driver()).bus };
        try_pin_init!(Self {
            bus: usb,
            block <- Opaque::try_ffi_init(move |block: *mut Block<L>| {
                let raw = bindings::notifier_block {
                    notifier_call: Some(Self::call),
                    ..Default::default()
                };
                // SAFETY: `block` is valid for writing.
                unsafe { block.write(Block { raw, listener }) };
                // SAFETY: the bus is null, which is refused, or usbcore's, which stays as
                // long as this module, which needs usbcore. The block is pinned from now on
                // until `drop` unregisters it.
                let result = to_result(unsafe {
                    bindings::bus_register_notifier(usb, &raw mut (*block).raw)
                });
                if result.is_err() {
                    // SAFETY: written above, and known to nobody.
                    unsafe { core::ptr::drop_in_place(&raw mut (*block).listener) };
                }
                result
            }),
        }? Error)
    }

    extern "C" fn call(
        block: *mut bindings::notifier_block,
        event: ffi::c_ulong,
        data: *mut ffi::c_void,
    ) -> ffi::c_int {
        // NOTIFY_OK
        const OK: ffi::c_int = 1;
        if event != bindings::bus_notifier_event_BUS_NOTIFY_BOUND_DRIVER as ffi::c_ulong {
            return OK;
        }
        let interface: *mut bindings::device = data.cast();
        // SAFETY: for this event `data` is a device that has just been bound, and whose lock
        // is held, so that it has a driver, whose name is a string. Names of a bus' drivers
        // are unique, and the USB bus's "hub" is usbcore's, of interfaces; the parent of an
        // interface is its `struct usb_device`, whose lock is held, as said above.
        let hub = unsafe {
            if CStr::from_char_ptr((*(*interface).driver).name) != c"hub" {
                return OK;
            }
            let device = (*interface)
                .parent
                .byte_sub(offset_of!(bindings::usb_device, dev));
            LockedDevice::from_raw(device.cast())
        };
        // SAFETY: the chain calls us with the block that `new` registered, the first
        // field of a `Block` which lives until it is unregistered.
        let listener = unsafe { &(*block.cast::<Block<L>>()).listener };
        listener.bound(&hub);
        OK
    }
}

#[pinned_drop]
impl<L: Listener> PinnedDrop for Notifier<L> {
    fn drop(self: Pin<&mut Self>) {
        let block = self.block.get();
        // SAFETY: `new` registered the block on this bus; afterwards nobody calls it any
        // more and the listener's reference is ours alone.
        unsafe {
            let _ = bindings::bus_unregister_notifier(self.bus, &raw mut (*block).raw);
            core::ptr::drop_in_place(&raw mut (*block).listener);
        }
    }
}
