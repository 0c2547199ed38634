// SPDX-License-Identifier: GPL-2.0

//! The C structure of a URB, and what there is in place of it while usbcore still has the
//! last one in its hands.

use crate::urb_iso::packet_ptr;
use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// Owns a `struct urb`, of which there may be another one for each submission.
pub(crate) struct RawUrb(Atomic<*mut bindings::urb>);

impl RawUrb {
    /// Allocates one with room for so many packets.
    pub(crate) fn new(packets: u16, flags: bindings::gfp_t) -> Result<Self> {
        // SAFETY: no requirements.
        let raw = unsafe { bindings::usb_alloc_urb(packets.into(), flags) };
        let raw = NonNull::new(raw).ok_or(ENOMEM)?.as_ptr();
        // usb_alloc_urb() leaves the packets uninitialised.
        for index in 0..packets {
            // SAFETY: within the `packets` that were allocated.
            unsafe { packet_ptr(raw, index.into()).write(Default::default()) };
        }
        Ok(Self(Atomic::new(raw)))
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::urb {
        self.0.load(Relaxed)
    }

    /// Whether usbcore has a reference of its own.
    pub(crate) fn is_shared(&self) -> bool {
        // SAFETY: a valid URB; others may change the count meanwhile, whose type is an
        // `int` that is read and written as a whole.
        unsafe { (&raw const (*self.as_ptr()).kref.refcount.refs.counter).read_volatile() > 1 }
    }

    /// Takes the place of the other, which the other's owner then has.
    pub(crate) fn swap(&self, other: &Self) {
        let ours = self.as_ptr();
        self.0.store(other.as_ptr(), Relaxed);
        other.0.store(ours, Relaxed);
    }
}

impl Drop for RawUrb {
    fn drop(&mut self) {
        // SAFETY: from usb_alloc_urb(). Not in flight: that would keep the `Core`. usbcore
        // may be in the end of giving it back, with a reference of its own.
        unsafe { bindings::usb_free_urb(self.as_ptr()) };
    }
}
