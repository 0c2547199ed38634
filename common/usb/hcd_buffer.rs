// SPDX-License-Identifier: GPL-2.0

//! The memory that a URB in the hands of the host controller points to.
//!
//! The core does not map it for us, so a buffer may be anything that class
//! drivers use: the kernel's linear map, a scatter-gather list, vmalloc memory,
//! the module's own data, even a stack. Only whole pages that can be held by a
//! reference are ever shown to the outside; everything else is copied.

use crate::hcd_urb::Urb;
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    page::{Page, PAGE_SIZE},
    prelude::*, //
};
use xen_sys::{bindings, HeldPage};

// `page_address()` of any page: there is no memory out of the linear map.
#[cfg(not(CONFIG_64BIT))]
compile_error!("pages outside of the linear map are not handled");

/// A part of a buffer that lies in one page.
pub struct Stretch<'a> {
    address: *mut u8,
    /// The page, if it is one of the linear map.
    page: Option<*mut bindings::page>,
    length: usize,
    _urb: PhantomData<&'a Urb>,
}

impl Stretch<'_> {
    /// First byte, counted in the page, 0..=4095.
    #[must_use]
    pub fn offset(&self) -> u16 {
        // Masked to 12 bits.
        (self.address as usize & (PAGE_SIZE.wrapping_sub(1))) as u16
    }

    /// Bytes, 1..=4096.
    #[must_use]
    pub fn length(&self) -> u16 {
        // Never more than a page.
        self.length as u16
    }

    /// Whether it lies in a page of the linear map.
    #[must_use]
    pub fn is_linear(&self) -> bool {
        self.page.is_some()
    }

    fn fills_page(&self) -> bool {
        self.offset() == 0 && self.length == PAGE_SIZE
    }
}

impl Urb {
    /// The buffer from byte `at` on, in stretches that lie in one page each.
    #[must_use]
    pub fn stretches(&self, at: u32) -> Stretches<'_> {
        Stretches::new(self, at)
    }
}

/// The stretches of a buffer, in order, from some byte on.
#[derive(Clone)]
pub struct Stretches<'a> {
    /// That byte.
    position: u32,
    /// Current entry of the list, or null.
    sg: *mut bindings::scatterlist,
    /// Current byte of a buffer without a list.
    linear: *mut u8,
    /// Byte within the list's current entry.
    at: usize,
    left: u32,
    _urb: PhantomData<&'a Urb>,
}

impl<'a> Stretches<'a> {
    fn new(urb: &'a Urb, at: u32) -> Self {
        let mut all = Self {
            position: 0,
            sg: urb.list(),
            linear: core::ptr::null_mut(),
            at: 0,
            left: urb.length(),
            _urb: PhantomData,
        };
        if !all.sg.is_null() {
            all.skip_entries();
        } else if urb.linear().is_null() {
            all.left = 0;
        } else {
            all.linear = urb.linear();
        }
        all.seek(at);
        all
    }

    /// Goes on to byte `at` of the buffer; stays when that lies behind.
    pub fn seek(&mut self, at: u32) {
        self.skip(at.saturating_sub(self.position));
    }

    fn skip(&mut self, count: u32) {
        self.position = self.position.saturating_add(count);
        self.left = self.left.saturating_sub(count);
        if self.linear.is_null() {
            self.at = self.at.wrapping_add(count as usize);
            self.skip_entries();
        } else {
            self.linear = self.linear.wrapping_add(count as usize);
        }
    }

    /// Goes to the entry of the list that `at` falls into.
    fn skip_entries(&mut self) {
        while !self.sg.is_null() {
            // SAFETY: The entry is one of the URB's list.
            let length = unsafe { (*self.sg).length } as usize;
            if self.at < length {
                return;
            }
            self.at = self.at.wrapping_sub(length);
            // SAFETY: As above; null after the last.
            self.sg = unsafe { bindings::pvusb_helper_sg_next(self.sg) };
        }
    }

    /// Takes a reference to the page that begins here, so that it can be
    /// granted. `None` when none does, when the URB does not fill the page, or
    /// when it is of a kind that cannot be held: copy then.
    #[must_use]
    pub fn hold_page(&self) -> Option<HeldPage> {
        let stretch = self.clone().next()?;
        if !stretch.fills_page() {
            return None;
        }
        let page = NonNull::new(stretch.page?)?;
        // SAFETY: The page belongs to the URB whole, until it is given back;
        // whoever owns the data has handed it to a device, and another domain
        // may access it as a device may.
        unsafe { HeldPage::hold(page) }
    }

    /// Copies the next `length` bytes of the buffer to a page.
    ///
    /// # Errors
    ///
    /// `EINVAL` when either range is too long; something may have been copied.
    pub fn copy_to_page(&self, length: u16, page: &Page, offset: usize) -> Result {
        // SAFETY: The stretch is valid memory of the buffer, as `copy` says,
        // and the range of the page was checked. The page may be read by others
        // meanwhile.
        self.copy(length, page, offset, |stretch, page, count| unsafe {
            core::ptr::copy_nonoverlapping(stretch.cast_const(), page, count);
        })
    }

    /// Copies `length` bytes from a page to the next of the buffer.
    ///
    /// # Errors
    ///
    /// As [`Self::copy_to_page`].
    pub fn copy_from_page(&self, length: u16, page: &Page, offset: usize) -> Result {
        // SAFETY: As in `copy_to_page`. The page may be written by others
        // meanwhile: each byte is then the one or the other.
        self.copy(length, page, offset, |stretch, page, count| unsafe {
            core::ptr::copy_nonoverlapping(page.cast_const(), stretch, count);
        })
    }

    /// Calls `each` with pieces of the buffer, pieces of the page, and lengths.
    fn copy(
        &self,
        length: u16,
        page: &Page,
        offset: usize,
        each: impl Fn(*mut u8, *mut u8, usize),
    ) -> Result {
        let mut left = usize::from(length);
        if offset.checked_add(left).is_none_or(|end| end > PAGE_SIZE) {
            return Err(EINVAL);
        }
        // SAFETY: The page is valid and, as every page here, in the linear map.
        let base = unsafe { bindings::pvusb_helper_page_address(page.as_ptr()) }.cast::<u8>();
        let mut to = base.wrapping_add(offset);
        for stretch in self.clone() {
            if left == 0 {
                break;
            }
            let count = stretch.length.min(left);
            each(stretch.address, to, count);
            to = to.wrapping_add(count);
            left = left.saturating_sub(count);
        }
        if left == 0 {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}

impl<'a> Iterator for Stretches<'a> {
    type Item = Stretch<'a>;

    fn next(&mut self) -> Option<Stretch<'a>> {
        if self.left == 0 {
            return None;
        }
        let (address, page, room) = if self.linear.is_null() {
            if self.sg.is_null() {
                return None;
            }
            // SAFETY: The entry is one of the URB's list, and `at` lies within
            // it, so the page is one of the entry's.
            unsafe {
                let start = ((*self.sg).offset as usize).wrapping_add(self.at);
                let page = bindings::pvusb_helper_sg_nth_page(self.sg, start / PAGE_SIZE);
                let base = bindings::pvusb_helper_page_address(page).cast::<u8>();
                let room = ((*self.sg).length as usize).wrapping_sub(self.at);
                (base.wrapping_add(start % PAGE_SIZE), Some(page), room)
            }
        } else {
            // SAFETY: Looks at the address only.
            let page = unsafe { bindings::pvusb_helper_linear_page(self.linear.cast()) };
            let page = Some(page).filter(|page| !page.is_null());
            (self.linear, page, self.left as usize)
        };
        let rest_of_page = PAGE_SIZE.wrapping_sub(address as usize & PAGE_SIZE.wrapping_sub(1));
        let length = rest_of_page.min(room).min(self.left as usize);
        self.skip(length as u32);
        Some(Stretch {
            address,
            page,
            length,
            _urb: PhantomData,
        })
    }
}
