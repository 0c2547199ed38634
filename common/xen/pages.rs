// SPDX-License-Identifier: GPL-2.0

//! Copying into and out of pages that others may change meanwhile.
//!
//! `kernel::page::Page`, one page of the linear map, is what all layers agree
//! on: the USB layer builds scatter lists of them, `grant` lends them,
//! `grant_copy` fills them. Devices, the hypervisor and other domains may write
//! them at any time, so safe code never gets a reference to their content.

use core::{ops::Deref, ptr::NonNull};
use kernel::{
    page::Page,
    prelude::*,
    sync::{
        atomic::{atomic_load, atomic_store, Acquire, Release},
        barrier,
    },
};
use ring::PAGE_SIZE;
use xen_sys::{bindings, HeldPage};

// Between domains there are always at least two processors. The acquire and
// release accesses of the kernel crate are only right for them with SMP.
#[cfg(not(CONFIG_SMP))]
compile_error!("shared rings need a kernel with CONFIG_SMP");

/// A page of our own that can be granted: a bounce page, a ring. Its content is
/// only ever copied, so others may write it at any time. Derefs to [`Page`] for
/// [`copy_in`] and [`copy_out`].
pub struct GrantPage(Page);

impl GrantPage {
    /// A zeroed page. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn zeroed() -> Result<Self> {
        Ok(Self(Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?))
    }

    /// A reference to the page for a grant to hold. The memory is freed when
    /// this page and all that hold it have been dropped.
    ///
    /// # Errors
    ///
    /// None in practice; `ENOMEM` if the page could not be held.
    pub fn hold(&self) -> Result<HeldPage> {
        let page = NonNull::new(self.0.as_ptr()).ok_or(ENOMEM)?;
        // SAFETY: The page is ours and in use. References to its content do not
        // exist: `Page` offers none, and it was not lent from elsewhere.
        unsafe { HeldPage::hold(page) }.ok_or(ENOMEM)
    }
}

impl Deref for GrantPage {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.0
    }
}

/// Whether `length` bytes from `offset` lie in one page.
fn inside(offset: usize, length: usize) -> bool {
    offset
        .checked_add(length)
        .is_some_and(|end| end <= PAGE_SIZE)
}

/// Copies bytes out of a page, from any context.
///
/// # Errors
///
/// `EINVAL` when the range leaves the page; `out` is then untouched.
pub fn copy_out(page: &Page, offset: usize, out: &mut [u8]) -> Result {
    if !inside(offset, out.len()) {
        return Err(EINVAL);
    }
    // SAFETY: Both ranges are valid. The copy is made by C code, for which a
    // concurrent change only means that it copies the one or the other.
    unsafe {
        bindings::pvusb_helper_copy_from_page(
            out.as_mut_ptr().cast(),
            page.as_ptr(),
            offset,
            out.len(),
        );
    }
    Ok(())
}

/// Copies bytes into a page, from any context.
///
/// # Errors
///
/// `EINVAL` when the range leaves the page; nothing is then written.
pub fn copy_in(page: &Page, offset: usize, bytes: &[u8]) -> Result {
    if !inside(offset, bytes.len()) {
        return Err(EINVAL);
    }
    // SAFETY: As in `copy_out`.
    unsafe {
        bindings::pvusb_helper_copy_to_page(
            page.as_ptr(),
            offset,
            bytes.as_ptr().cast(),
            bytes.len(),
        );
    }
    Ok(())
}

/// Zeroes bytes of a page, from any context.
///
/// # Errors
///
/// `EINVAL` when the range leaves the page; nothing is then written.
pub fn zero(page: &Page, offset: usize, length: usize) -> Result {
    if !inside(offset, length) {
        return Err(EINVAL);
    }
    // SAFETY: As in `copy_out`.
    unsafe { bindings::pvusb_helper_zero_page(page.as_ptr(), offset, length) };
    Ok(())
}

/// Four bytes that need not be aligned: the ring crate reads where it likes.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Unaligned(u32);

/// One mapped page shared with another domain, accessed only by volatile and
/// atomic accesses.
///
/// # Invariants
///
/// The pointer is page-aligned and valid for a page's bytes while the owner of
/// this value says so, and no references into it exist.
pub(crate) struct Shared(NonNull<u8>);

// SAFETY: The memory may be accessed by any thread, as the methods do.
unsafe impl Send for Shared {}
// SAFETY: As above.
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    ///
    /// The type's invariant must hold for `base` as long as the value is used.
    pub(crate) unsafe fn new(base: NonNull<u8>) -> Self {
        Self(base)
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// A u32 of the page, unless the offset is out of range or unaligned.
    fn word(&self, offset: usize) -> Option<*mut u32> {
        if offset % 4 != 0 || !inside(offset, 4) {
            return None;
        }
        // SAFETY: The offset lies in the page.
        Some(unsafe { self.0.as_ptr().add(offset) }.cast())
    }
}

impl ring::SharedPage for Shared {
    fn load(&self, offset: usize) -> u32 {
        match self.word(offset) {
            // SAFETY: Valid and aligned; the kernel only stores atomically.
            Some(word) => unsafe { atomic_load(word, Acquire) },
            None => 0,
        }
    }

    fn store(&self, offset: usize, value: u32) {
        if let Some(word) = self.word(offset) {
            // SAFETY: Valid and aligned; the kernel only accesses atomically.
            unsafe { atomic_store(word, value, Release) };
        }
    }

    fn full_barrier(&self) {
        barrier::mb(barrier::Full);
    }

    fn read(&self, offset: usize, out: &mut [u8]) {
        if !inside(offset, out.len()) {
            return;
        }
        // By words, which is what ring entries are made of; then the rest.
        let mut at = offset;
        let mut words = out.chunks_exact_mut(4);
        for chunk in &mut words {
            // SAFETY: The word lies in the page, as checked above. It is read
            // once, whole, wherever it starts (`Unaligned`).
            let word = unsafe { self.0.as_ptr().add(at).cast::<Unaligned>().read_volatile() };
            chunk.copy_from_slice(&word.0.to_ne_bytes());
            at = at.saturating_add(4);
        }
        for byte in words.into_remainder() {
            // SAFETY: The byte lies in the page, as checked above.
            *byte = unsafe { self.0.as_ptr().add(at).read_volatile() };
            at = at.saturating_add(1);
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        if !inside(offset, bytes.len()) {
            return;
        }
        let mut at = offset;
        let words = bytes.chunks_exact(4);
        let rest = words.remainder();
        for chunk in words {
            let mut word = [0; 4];
            word.copy_from_slice(chunk);
            let word = Unaligned(u32::from_ne_bytes(word));
            // SAFETY: The word lies in the page, as checked above.
            unsafe {
                self.0
                    .as_ptr()
                    .add(at)
                    .cast::<Unaligned>()
                    .write_volatile(word)
            };
            at = at.saturating_add(4);
        }
        for &byte in rest {
            // SAFETY: The byte lies in the page, as checked above.
            unsafe { self.0.as_ptr().add(at).write_volatile(byte) };
            at = at.saturating_add(1);
        }
    }
}
