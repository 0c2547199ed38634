// SPDX-License-Identifier: GPL-2.0

//! A page that stays while something outside the kernel may still reach it.
//!
//! Here, below both layers, because the USB layer knows which pages a transfer
//! has and the Xen layer grants them.

use crate::bindings;
use core::ptr::NonNull;

/// A counted reference to a page of memory in the kernel's linear map. Until it
/// is dropped the page is not used for anything else, whoever else lets go.
///
/// # Invariants
///
/// The pointer is a valid page, and one reference to it is ours.
pub struct HeldPage(NonNull<bindings::page>);

// SAFETY: Page references may be taken and dropped on any thread.
unsafe impl Send for HeldPage {}
// SAFETY: A shared reference allows nothing but to read the pointer.
unsafe impl Sync for HeldPage {}

impl HeldPage {
    /// Takes a reference to the page at `page`, or `None` when it is of a kind
    /// that is freed without looking at references (the slab allocator's, so
    /// everything from `kmalloc`): copy the data to a page of your own then.
    ///
    /// # Safety
    ///
    /// `page` must point to the `struct page` of memory that is in use, and the
    /// memory must be such that another domain may read it, and may write it at
    /// any time if the page will be granted for writing.
    pub unsafe fn hold(page: NonNull<bindings::page>) -> Option<Self> {
        // SAFETY: By this function's contract.
        if unsafe { bindings::pvusb_helper_hold_page(page.as_ptr()) } {
            // INVARIANT: The helper has taken a reference.
            Some(Self(page))
        } else {
            None
        }
    }

    /// The page; valid as long as `self`.
    pub fn as_ptr(&self) -> *mut bindings::page {
        self.0.as_ptr()
    }

    /// Gives the reference away, to be dropped with `put_page`.
    pub fn into_raw(self) -> *mut bindings::page {
        let page = self.0.as_ptr();
        core::mem::forget(self);
        page
    }
}

impl Drop for HeldPage {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant a reference is ours to drop.
        unsafe { bindings::pvusb_helper_put_page(self.0.as_ptr()) };
    }
}
