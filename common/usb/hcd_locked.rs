// SPDX-License-Identifier: GPL-2.0

//! The lock of a host controller, and giving URBs back when it is free again:
//! see the rules in [`crate::hcd`].

use crate::{
    endpoint::TransferType,
    hcd::HostController,
    hcd_urb::Urb, //
};
use core::{mem::ManuallyDrop, ptr};
use kernel::{
    interrupt::local_interrupt_disable,
    sync::lock::spinlock::SpinLockIrqGuard, //
};
use xen_sys::bindings;

#[cfg(CONFIG_PREEMPT_RT)]
compile_error!(
    "usb_hcd_giveback_urb() sleeps with CONFIG_PREEMPT_RT, where interrupts are off here"
);

/// The controller's state, locked, and the URBs that are done.
pub struct Locked<'a, T: HostController> {
    controller: &'a T,
    // Dropped first, by hand.
    state: ManuallyDrop<SpinLockIrqGuard<'a, T::State>>,
    /// URBs to give back, linked through `urb_list`, which is theirs again once
    /// they are off their endpoint.
    first: *mut bindings::urb,
    last: *mut bindings::urb,
    count: u32,
}

impl<'a, T: HostController> Locked<'a, T> {
    /// Locks a controller. From any context.
    pub fn new(controller: &'a T) -> Self {
        Self {
            controller,
            state: ManuallyDrop::new(controller.state().lock()),
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            count: 0,
        }
    }

    /// Gives a URB back when the lock is dropped, with `actual` bytes moved and
    /// that status, unless it was unlinked: then with the unlink's.
    pub fn give_back(&mut self, urb: Urb, status: i32, actual: u32) {
        let raw = urb.into_raw().as_ptr();
        // SAFETY: A `Urb` is one that `enqueue` has accepted and that has not
        // been given back, so it is valid and linked to its endpoint, and its
        // `dev` and bus are. We hold the controller's lock with interrupts off.
        unsafe {
            count_periodic(hcd_of(raw), raw, -1);
            bindings::usb_hcd_unlink_urb_from_ep(hcd_of(raw), raw);
            (*raw).actual_length = actual;
            // As giveback would: the unlink's status goes before ours.
            if (*raw).unlinked == 0 {
                (*raw).unlinked = status;
            }
            (*raw).urb_list.next = ptr::null_mut();
        }
        if self.last.is_null() {
            self.first = raw;
        } else {
            // SAFETY: `last` is a URB of ours that has not been given back.
            unsafe { (*self.last).urb_list.next = &raw mut (*raw).urb_list };
        }
        self.last = raw;
        self.count = self.count.saturating_add(1);
    }
}

impl<T: HostController> core::ops::Deref for Locked<'_, T> {
    type Target = T::State;

    fn deref(&self) -> &T::State {
        &self.state
    }
}

impl<T: HostController> core::ops::DerefMut for Locked<'_, T>
where
    T::State: Unpin,
{
    fn deref_mut(&mut self) -> &mut T::State {
        &mut self.state
    }
}

impl<T: HostController> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        // SAFETY: Dropped here only, and not used afterwards.
        unsafe { ManuallyDrop::drop(&mut self.state) };
        if self.first.is_null() {
            return;
        }
        // SAFETY: They were put on the list by `Self::give_back`.
        unsafe { give_back_all(self.first) };
        self.controller.gave_back(self.count);
    }
}

/// Gives URBs back to the core.
///
/// # Safety
///
/// `first` must be a list, linked through `urb_list.next` and ended by null, of
/// URBs that are off their endpoints; they are not ours any more afterwards.
unsafe fn give_back_all(first: *mut bindings::urb) {
    // Giveback takes a lock that it also takes in a softirq.
    let _off = local_interrupt_disable();
    let mut urb = first;
    while !urb.is_null() {
        // SAFETY: By this function's contract. Giving it back ends our access to
        // it, so the link is read before.
        unsafe {
            let next = (*urb).urb_list.next;
            let link = &raw mut (*urb).urb_list;
            (*link).next = link;
            (*link).prev = link;
            bindings::usb_hcd_giveback_urb(hcd_of(urb), urb, 0);
            urb = if next.is_null() {
                ptr::null_mut()
            } else {
                kernel::container_of!(next, bindings::urb, urb_list)
            };
        }
    }
}

/// The controller that a URB was submitted to.
///
/// # Safety
///
/// `urb` must be a valid URB that a controller has accepted.
unsafe fn hcd_of(urb: *mut bindings::urb) -> *mut bindings::usb_hcd {
    // SAFETY: By this function's contract; a device's bus is the `self` of a
    // `struct usb_hcd`.
    unsafe { kernel::container_of!((*(*urb).dev).bus, bindings::usb_hcd, self_) }
}

/// Counts a URB of a periodic endpoint in or out, for those who look at how
/// busy the bus is (`/sys/kernel/debug/usb/devices`).
///
/// # Safety
///
/// `hcd` and `urb` must be valid, the URB with the controller, whose lock is held.
pub(crate) unsafe fn count_periodic(
    hcd: *mut bindings::usb_hcd,
    urb: *mut bindings::urb,
    change: kernel::ffi::c_int,
) {
    // SAFETY: By this function's contract. The counts are the controller's.
    unsafe {
        let count = match TransferType::of(&(*(*urb).ep).desc) {
            TransferType::Isochronous => &raw mut (*hcd).self_.bandwidth_isoc_reqs,
            TransferType::Interrupt => &raw mut (*hcd).self_.bandwidth_int_reqs,
            TransferType::Control | TransferType::Bulk => return,
        };
        *count = (*count).wrapping_add(change);
    }
}
