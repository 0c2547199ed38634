// SPDX-License-Identifier: GPL-2.0

//! Letting another domain read or write our pages: the frontend's side.
//!
//! A granted page may be read or written by the other domain until the grant
//! has *ended*, and a grant cannot be ended while the other domain has the page
//! mapped. So each grant holds a reference to its page, which keeps it from
//! being used for anything else (Xen security advisory 396), and a grant number
//! that could not be ended is never used again.

use crate::DomId;
use core::mem::ManuallyDrop;
use kernel::{
    error::to_result,
    prelude::*, //
};
use xen_sys::{bindings, HeldPage};

/// What the other domain may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    ReadOnly,
    /// Read and write it.
    ReadWrite,
}

impl Access {
    fn readonly(self) -> kernel::ffi::c_int {
        kernel::ffi::c_int::from(self == Access::ReadOnly)
    }
}

/// A page that another domain has access to.
///
/// Dropping it ends the access, if need be later: the kernel then keeps the
/// page and the number, and tries again every second (its own "deferred" list).
pub struct Grant {
    reference: bindings::grant_ref_t,
    // Always there; taken out when the grant ends.
    page: ManuallyDrop<HeldPage>,
}

impl Grant {
    /// Grants a page, with a number from the kernel's free list. From any
    /// context, though it takes the kernel's lock over all grants; for a data
    /// path use a [`GrantPool`].
    ///
    /// # Errors
    ///
    /// `ENOSPC` no number is free.
    pub fn new(to: DomId, page: HeldPage, access: Access) -> Result<Self> {
        // SAFETY: The page is in use, and `HeldPage` allows others to access it
        // until it is dropped, which is after the access has ended.
        let reference = unsafe {
            let gfn = bindings::pvusb_helper_page_to_gfn(page.as_ptr());
            bindings::gnttab_grant_foreign_access(to, gfn, access.readonly())
        };
        match bindings::grant_ref_t::try_from(reference) {
            Ok(reference) => Ok(Self {
                reference,
                page: ManuallyDrop::new(page),
            }),
            Err(_) => Err(ENOSPC),
        }
    }

    /// Ends the access, now.
    ///
    /// # Errors
    ///
    /// The other domain has the page mapped: the grant is given back.
    pub fn end(self) -> core::result::Result<HeldPage, Self> {
        // SAFETY: The grant is ours. If the access ends, so does our use of the number.
        if unsafe { bindings::gnttab_try_end_foreign_access(self.reference) } == 0 {
            return Err(self);
        }
        // The access has ended, so the drop must not end it again.
        let mut grant = ManuallyDrop::new(self);
        // SAFETY: The page is there; `grant` is neither dropped nor used again.
        Ok(unsafe { ManuallyDrop::take(&mut grant.page) })
    }

    /// The grant's number, to be told to the other domain.
    #[must_use]
    pub fn reference(&self) -> u32 {
        self.reference
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        // SAFETY: The page is there, and not used again.
        let page = unsafe { ManuallyDrop::take(&mut self.page) };
        // SAFETY: The grant is ours. The kernel drops the page's reference when
        // the access has ended.
        unsafe { bindings::gnttab_end_foreign_access(self.reference, page.into_raw()) };
    }
}

/// Grant numbers of one owner, taken in advance, so that granting in atomic
/// context neither fails for want of a number nor takes a lock.
pub struct GrantPool {
    head: bindings::grant_ref_t,
    free: u16,
}

impl GrantPool {
    /// Takes `count` numbers from the kernel's free list, which grows for it.
    ///
    /// # Errors
    ///
    /// `ENOSPC` the hypervisor allows no more, `EINVAL` none wanted.
    pub fn new(count: u16) -> Result<Self> {
        if count == 0 {
            return Err(EINVAL);
        }
        let mut head = 0;
        // SAFETY: `head` can be written.
        to_result(unsafe { bindings::gnttab_alloc_grant_references(count, &raw mut head) })?;
        Ok(Self { head, free: count })
    }

    /// Numbers that are free.
    #[must_use]
    pub fn free(&self) -> u16 {
        self.free
    }

    /// Grants a page.
    ///
    /// # Errors
    ///
    /// No number is free: the page is given back.
    pub fn grant(
        &mut self,
        to: DomId,
        page: HeldPage,
        access: Access,
    ) -> core::result::Result<Grant, HeldPage> {
        let Some(left) = self.free.checked_sub(1) else {
            return Err(page);
        };
        // SAFETY: The list is ours.
        let reference = unsafe { bindings::gnttab_claim_grant_reference(&raw mut self.head) };
        let Ok(reference) = bindings::grant_ref_t::try_from(reference) else {
            return Err(page);
        };
        self.free = left;
        // SAFETY: The number is ours and unused; for the page see `Grant::new`.
        unsafe {
            let gfn = bindings::pvusb_helper_page_to_gfn(page.as_ptr());
            bindings::gnttab_grant_foreign_access_ref(reference, to, gfn, access.readonly());
        }
        Ok(Grant {
            reference,
            page: ManuallyDrop::new(page),
        })
    }

    /// Ends a grant and takes its number back. Call it when the other domain
    /// has said that it is done with the page.
    ///
    /// # Errors
    ///
    /// The other domain still has the page mapped, which it must not: the grant
    /// is given back. Dropping it keeps page and number until the access has
    /// ended, and this pool is one number smaller.
    pub fn end(&mut self, grant: Grant) -> core::result::Result<HeldPage, Grant> {
        // SAFETY: The grant is ours.
        if unsafe { bindings::gnttab_end_foreign_access_ref(grant.reference) } == 0 {
            return Err(grant);
        }
        // The access has ended, so the drop must not end it again.
        let mut grant = ManuallyDrop::new(grant);
        // SAFETY: The number is not in use any more; the list is ours.
        unsafe {
            bindings::gnttab_release_grant_reference(&raw mut self.head, grant.reference);
        }
        self.free = self.free.saturating_add(1);
        // SAFETY: The page is there; `grant` is neither dropped nor used again.
        Ok(unsafe { ManuallyDrop::take(&mut grant.page) })
    }
}

impl Drop for GrantPool {
    fn drop(&mut self) {
        // SAFETY: The list is ours, and holds free numbers only.
        unsafe { bindings::gnttab_free_grant_references(self.head) };
    }
}
