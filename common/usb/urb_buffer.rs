// SPDX-License-Identifier: GPL-2.0

//! The data memory of a URB: 32 pages, allocated once.
//!
//! One memory, two views. As pages, for a scatter-gather list and for grant copy, which
//! go page by page. As one linear piece, for the transfers that take no list: control,
//! interrupt, isochronous, and controllers without one. The linear view of more than a page
//! exists when the pages are contiguous, which is tried first; under memory
//! pressure single pages must do.
//!
//! In a PV dom0 contiguous does not mean contiguous for the machine: a linear
//! mapping of more than a page is copied once more by swiotlb-xen. The list avoids that,
//! hence it is preferred where possible ([`crate::urb`]).

use core::ptr::NonNull;
use kernel::{
    bindings,
    page::{
        BorrowedPage,
        PAGE_SIZE, //
    },
    prelude::*, //
};
use xen_sys::bindings as helpers;

/// Pages of a buffer, and entries of a scatter-gather list.
pub(crate) const PAGES: usize = 32;

/// 32 pages in the kernel's linear map.
///
/// # Invariants
///
/// Each address is the start of a page that this buffer owns. If `contiguous`, they
/// are one allocation, in order; else each is its own.
pub struct Buffer {
    pages: [NonNull<u8>; PAGES],
    contiguous: bool,
}

// SAFETY: plain memory, owned.
unsafe impl Send for Buffer {}

// SAFETY: through `&Buffer` only addresses are given; access to the content is unsafe, or
// the hypervisor's.
unsafe impl Sync for Buffer {}

fn allocate(size: usize) -> Option<NonNull<u8>> {
    // For a single page processes would be killed; for all of them, which guests ask for as
    // often as they connect, the whole memory should not be moved about.
    let effort = if size == PAGE_SIZE {
        1 << bindings::___GFP_RETRY_MAYFAIL_BIT
    } else {
        0
    };
    let flags = bindings::GFP_KERNEL | effort | bindings::__GFP_NOWARN | bindings::__GFP_ZERO;
    // SAFETY: no requirements.
    NonNull::new(unsafe { bindings::alloc_pages_exact_noprof(size, flags) }.cast())
}

impl Buffer {
    /// Bytes of a buffer: the most that one PVUSB request carries.
    pub const SIZE: usize = PAGES * PAGE_SIZE;

    /// Allocates it, zeroed.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        let mut pages = [NonNull::dangling(); PAGES];
        if let Some(start) = allocate(Self::SIZE) {
            for (page, offset) in pages.iter_mut().zip((0..Self::SIZE).step_by(PAGE_SIZE)) {
                // SAFETY: the offset is within the allocation.
                *page = unsafe { start.add(offset) };
            }
            return Ok(Self {
                pages,
                contiguous: true,
            });
        }
        for index in 0..PAGES {
            let Some(page) = allocate(PAGE_SIZE) else {
                for page in pages.iter().take(index) {
                    // SAFETY: allocated above with this size.
                    unsafe { bindings::free_pages_exact(page.as_ptr().cast(), PAGE_SIZE) };
                }
                return Err(ENOMEM);
            };
            if let Some(place) = pages.get_mut(index) {
                *place = page;
            }
        }
        Ok(Self {
            pages,
            contiguous: false,
        })
    }

    /// The page with this index, 0..32, for grant copy.
    pub fn page(&self, index: usize) -> Option<BorrowedPage<'_>> {
        let page = NonNull::new(self.page_struct(index)?)?;
        // SAFETY: the page is owned by `self`, which the result borrows.
        Some(unsafe { BorrowedPage::from_raw(page) })
    }

    /// Whether transfers without a scatter-gather list may exceed a page.
    pub fn is_contiguous(&self) -> bool {
        self.contiguous
    }

    pub(crate) fn page_struct(&self, index: usize) -> Option<*mut bindings::page> {
        let page = self.pages.get(index)?;
        // SAFETY: an address in the linear map.
        Some(unsafe { helpers::pvusb_helper_virt_to_page(page.as_ptr().cast()) })
    }

    /// The start of `length` bytes in one piece, if there is such a piece.
    pub(crate) fn linear(&self, length: usize) -> Option<NonNull<u8>> {
        let limit = if self.contiguous {
            Self::SIZE
        } else {
            PAGE_SIZE
        };
        let [first, ..] = self.pages;
        (length <= limit).then_some(first)
    }

    /// Calls `piece` for each page's part of `offset..offset + length`: its address and
    /// its length, in order. False, and no call, if that is beyond the buffer.
    fn pieces(&self, offset: usize, length: usize, mut piece: impl FnMut(*mut u8, usize)) -> bool {
        match offset.checked_add(length) {
            Some(end) if end <= Self::SIZE => {}
            _ => return false,
        }
        let mut skip = offset;
        let mut left = length;
        for page in &self.pages {
            if skip >= PAGE_SIZE {
                skip = skip.saturating_sub(PAGE_SIZE);
                continue;
            }
            let part = PAGE_SIZE.saturating_sub(skip).min(left);
            if part == 0 {
                break;
            }
            // `skip` is within the page.
            piece(page.as_ptr().wrapping_add(skip), part);
            left = left.saturating_sub(part);
            skip = 0;
        }
        true
    }

    /// Copies out of the buffer.
    ///
    /// # Errors
    ///
    /// `EINVAL`: beyond the buffer; `out` is untouched.
    ///
    /// # Safety
    ///
    /// Nobody writes to the buffer meanwhile.
    pub(crate) unsafe fn read(&self, offset: usize, out: &mut [u8]) -> Result {
        let mut to = out.as_mut_ptr();
        let inside = self.pieces(offset, out.len(), |from, length| {
            // SAFETY: `from..` is within a page of ours, `to..` within `out`: the lengths add
            // up to its length.
            unsafe { core::ptr::copy_nonoverlapping(from, to, length) };
            to = to.wrapping_add(length);
        });
        inside.then_some(()).ok_or(EINVAL)
    }

    /// Copies into the buffer.
    ///
    /// # Errors
    ///
    /// `EINVAL`: beyond the buffer, which is untouched.
    ///
    /// # Safety
    ///
    /// Nobody else uses the buffer meanwhile.
    pub(crate) unsafe fn write(&self, offset: usize, bytes: &[u8]) -> Result {
        let mut from = bytes.as_ptr();
        let inside = self.pieces(offset, bytes.len(), |to, length| {
            // SAFETY: as in `read`, the other way round.
            unsafe { core::ptr::copy_nonoverlapping(from, to, length) };
            from = from.wrapping_add(length);
        });
        inside.then_some(()).ok_or(EINVAL)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let (count, size) = if self.contiguous {
            (1, Self::SIZE)
        } else {
            (PAGES, PAGE_SIZE)
        };
        for page in self.pages.iter().take(count) {
            // SAFETY: by the invariant, allocated in pieces of this size.
            unsafe { bindings::free_pages_exact(page.as_ptr().cast(), size) };
        }
    }
}
