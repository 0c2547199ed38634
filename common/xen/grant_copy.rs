// SPDX-License-Identifier: GPL-2.0

//! Copying to and from pages that another domain has granted us: the
//! backend's side.
//!
//! The hypervisor copies; nothing of the other domain is ever mapped. It checks
//! each copy by itself, and each has a status of its own. Process context only:
//! a page that the hypervisor has to fetch first is asked for again after a
//! sleep, for up to 32 seconds (`gnttab_batch_copy`).

use crate::DomId;
use core::marker::PhantomData;
use kernel::{
    page::{BorrowedPage, Page},
    prelude::*,
};
use ring::PAGE_SIZE;
use xen_sys::bindings;

/// A part of one page that another domain has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The grant's number, as the other domain told it.
    pub gref: u32,
    /// Where in that page, in bytes.
    pub offset: u16,
}

/// A copy was refused; those before and after it may have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which of the batch, from 0.
    pub index: usize,
    /// The hypervisor's reason: one of `GNTST_*`, negative.
    pub status: i16,
}

/// A local page that stays borrowed for `'p`: a [`Page`] of one's own, or one
/// that the USB layer lends.
pub trait LocalPage<'p>: sealed::Sealed {
    #[doc(hidden)]
    fn raw(&self) -> *mut bindings::page;
}

mod sealed {
    /// Only pages can be local pages.
    pub trait Sealed {}
    impl Sealed for &kernel::page::Page {}
    impl Sealed for kernel::page::BorrowedPage<'_> {}
}

impl<'p> LocalPage<'p> for &'p Page {
    fn raw(&self) -> *mut bindings::page {
        self.as_ptr()
    }
}

impl<'p> LocalPage<'p> for BorrowedPage<'p> {
    fn raw(&self) -> *mut bindings::page {
        self.as_ptr()
    }
}

/// Room for a batch of at most `N` copies, to be kept (it is large for a stack)
/// and used again and again.
pub struct CopyRoom<const N: usize> {
    ops: [bindings::gnttab_copy; N],
}

impl<const N: usize> CopyRoom<N> {
    /// Allocates the room.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<KBox<Self>> {
        let mut room = KBox::<Self>::new_uninit(GFP_KERNEL)?;
        // SAFETY: The memory is ours, and all bytes zero is a valid array of
        // these C structures.
        Ok(unsafe {
            room.as_mut_ptr().write_bytes(0, 1);
            room.assume_init()
        })
    }

    /// Starts an empty batch of copies from and to one domain.
    pub fn batch<'p>(&mut self, domain: DomId) -> CopyBatch<'_, 'p> {
        CopyBatch {
            ops: &mut self.ops,
            count: 0,
            domain,
            _pages: PhantomData,
        }
    }
}

/// Copies to be made together, in no order. Borrows the local pages until run.
pub struct CopyBatch<'a, 'p> {
    ops: &'a mut [bindings::gnttab_copy],
    count: usize,
    domain: DomId,
    _pages: PhantomData<&'p Page>,
}

impl<'p> CopyBatch<'_, 'p> {
    /// Copies that can still be added.
    #[must_use]
    pub fn room(&self) -> usize {
        self.ops.len().saturating_sub(self.count)
    }

    /// Whether none has been added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a copy of `length` bytes from the other domain into a local page.
    ///
    /// # Errors
    ///
    /// `EINVAL` a range leaves its page or is empty, `ENOSPC` the batch is full.
    pub fn read(
        &mut self,
        from: Foreign,
        page: impl LocalPage<'p>,
        offset: u16,
        length: u16,
    ) -> Result {
        self.push(
            self.foreign(from),
            local(page.raw(), offset),
            length,
            bindings::GNTCOPY_source_gref,
        )
    }

    /// Adds a copy of `length` bytes from a local page to the other domain.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn write(
        &mut self,
        page: impl LocalPage<'p>,
        offset: u16,
        to: Foreign,
        length: u16,
    ) -> Result {
        self.push(
            local(page.raw(), offset),
            self.foreign(to),
            length,
            bindings::GNTCOPY_dest_gref,
        )
    }

    /// Makes the copies and forgets them, so that the room can be filled again.
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// The first that was refused.
    pub fn run(&mut self) -> core::result::Result<(), Failed> {
        let count = core::mem::take(&mut self.count);
        let ops = self.ops.get_mut(..count).unwrap_or_default();
        if ops.is_empty() {
            return Ok(());
        }
        // SAFETY: `ops` are as many valid copies. Local ranges lie in pages
        // that are borrowed, whose content no one has a reference to.
        //
        // CAST: The count is at most the room, some dozens.
        unsafe { bindings::gnttab_batch_copy(ops.as_mut_ptr(), ops.len() as kernel::ffi::c_uint) };
        // CAST: 0, `GNTST_okay`, fits.
        match ops
            .iter()
            .position(|op| op.status != bindings::GNTST_okay as i16)
        {
            None => Ok(()),
            Some(index) => Err(Failed {
                index,
                status: ops.get(index).map_or(0, |op| op.status),
            }),
        }
    }

    fn foreign(&self, at: Foreign) -> bindings::gnttab_copy_gnttab_copy_ptr {
        bindings::gnttab_copy_gnttab_copy_ptr {
            u: bindings::gnttab_copy_gnttab_copy_ptr__bindgen_ty_1 { ref_: at.gref },
            domid: self.domain,
            offset: at.offset,
        }
    }

    fn push(
        &mut self,
        source: bindings::gnttab_copy_gnttab_copy_ptr,
        dest: bindings::gnttab_copy_gnttab_copy_ptr,
        length: u16,
        flags: u32,
    ) -> Result {
        let inside = |offset: u16| {
            usize::from(offset)
                .checked_add(usize::from(length))
                .is_some_and(|end| end <= PAGE_SIZE)
        };
        if length == 0 || !inside(source.offset) || !inside(dest.offset) {
            return Err(EINVAL);
        }
        let op = self.ops.get_mut(self.count).ok_or(ENOSPC)?;
        *op = bindings::gnttab_copy {
            source,
            dest,
            len: length,
            // CAST: One of two flags, 1 and 2.
            flags: flags as u16,
            // No status of the hypervisor, so one that it did not write counts
            // as a failure.
            status: 1,
        };
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

/// The local end of a copy.
fn local(page: *mut bindings::page, offset: u16) -> bindings::gnttab_copy_gnttab_copy_ptr {
    // SAFETY: The page comes from a `LocalPage`, so it is valid.
    let gmfn = unsafe { bindings::pvusb_helper_page_to_gfn(page) };
    bindings::gnttab_copy_gnttab_copy_ptr {
        u: bindings::gnttab_copy_gnttab_copy_ptr__bindgen_ty_1 { gmfn },
        // CAST: 0x7ff0 fits.
        domid: bindings::DOMID_SELF as DomId,
        offset,
    }
}
