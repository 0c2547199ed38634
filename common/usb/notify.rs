// SPDX-License-Identifier: GPL-2.0

//! Hearing of devices that come and go.
//!
//! The callbacks run inside usbcore's own probe and removal of the device, with the
//! lock of that device held. They may claim ports of a hub that appears
//! ([`crate::port`]) and enqueue work; they must not take device locks, bind or
//! unbind anything, or wait for work that does.
//!
//! `added` comes after the device was configured and its interfaces were offered to
//! drivers, or was left alone because its port is owned. `removed` comes
//! after its interfaces were unbound. Devices that exist already are not announced:
//! register first, then look at them all with `Device::for_each`.

use crate::lock::LockedDevice;
use kernel::{
    bindings,
    ffi,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};

/// Who wants to hear of devices.
pub trait Listener: Send + Sync + 'static {
    /// A device appeared, hubs and root hubs included.
    fn added(&self, device: &LockedDevice<'_>);
    /// A device is gone for good; what comes back is another `Device`.
    fn removed(&self, device: &LockedDevice<'_>);
}

/// A registered [`Listener`].
///
/// Dropping it waits for running callbacks: never from one.
#[pin_data(PinnedDrop)]
pub struct Notifier<L: Listener> {
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
    /// Registers the listener.
    pub fn new(listener: Arc<L>) -> impl PinInit<Self> {
        pin_init!(Self {
            block <- Opaque::ffi_init(move |block: *mut Block<L>| {
                let raw = bindings::notifier_block {
                    notifier_call: Some(Self::call),
                    ..Default::default()
                };
                // SAFETY: `block` is valid for writing, and pinned from then on until
                // `drop` unregisters it.
                unsafe {
                    block.write(Block { raw, listener });
                    bindings::usb_register_notify(&raw mut (*block).raw);
                }
            }),
        })
    }

    extern "C" fn call(
        block: *mut bindings::notifier_block,
        event: ffi::c_ulong,
        data: *mut ffi::c_void,
    ) -> ffi::c_int {
        // SAFETY: the chain calls us with the block that `new` registered, the first
        // field of a `Block` which lives until it is unregistered.
        let listener = unsafe { &(*block.cast::<Block<L>>()).listener };
        // Other events (a bus comes or goes) have a `struct usb_bus` as data.
        if event == bindings::USB_DEVICE_ADD as ffi::c_ulong {
            // SAFETY: for this event `data` is a valid `struct usb_device`; usbcore
            // sends it from the device's probe, under its lock.
            listener.added(&unsafe { LockedDevice::from_raw(data.cast()) });
        } else if event == bindings::USB_DEVICE_REMOVE as ffi::c_ulong {
            // SAFETY: as above, from the device's removal.
            listener.removed(&unsafe { LockedDevice::from_raw(data.cast()) });
        }
        // NOTIFY_OK
        1
    }
}

#[pinned_drop]
impl<L: Listener> PinnedDrop for Notifier<L> {
    fn drop(self: Pin<&mut Self>) {
        let block = self.block.get();
        // SAFETY: `new` registered the block; afterwards nobody calls it any more and
        // the listener's reference is ours alone.
        unsafe {
            bindings::usb_unregister_notify(&raw mut (*block).raw);
            core::ptr::drop_in_place(&raw mut (*block).listener);
        }
    }
}
