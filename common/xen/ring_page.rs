// SPDX-License-Identifier: GPL-2.0

//! The page of a shared ring, at either end.

use crate::{
    device::Device,
    grant::{Access, Grant},
    pages::{GrantPage, Shared},
    DomId,
};
use core::ptr::NonNull;
use kernel::{device::DeviceContext, error::to_result, page::Page, prelude::*, sync::aref::ARef};
use xen_sys::bindings;

/// The frontend's end: our page, granted to the other domain.
///
/// When dropped while the other domain still has it mapped, the kernel keeps
/// the page and its grant until it has let go.
pub struct RingPage {
    // Before `_page`: the access ends first. Either order would do, for the
    // grant holds the page by itself.
    grant: Grant,
    shared: Shared,
    _page: GrantPage,
}

impl RingPage {
    /// A zeroed page, granted to the domain of `dev`'s other half for reading
    /// and writing.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENOSPC` no grant number is free.
    pub fn new<Ctx: DeviceContext>(dev: &Device<Ctx>) -> Result<Self> {
        Self::for_domain(dev.otherend_id())
    }

    /// A zeroed page, granted to a domain for reading and writing.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn for_domain(domain: DomId) -> Result<Self> {
        let page = GrantPage::zeroed()?;
        let base = page_base(&page).ok_or(ENOMEM)?;
        let grant = Grant::new(domain, page.hold()?, Access::ReadWrite)?;
        Ok(Self {
            grant,
            // SAFETY: The page is valid as long as `_page`, in the linear map,
            // and only accessed through this value.
            shared: unsafe { Shared::new(base) },
            _page: page,
        })
    }

    /// Ends the other domain's access, now.
    ///
    /// # Errors
    ///
    /// It has the page mapped, which is given back.
    pub fn end(self) -> core::result::Result<(), Self> {
        let Self {
            grant,
            shared,
            _page,
        } = self;
        match grant.end() {
            Ok(_) => Ok(()),
            Err(grant) => Err(Self {
                grant,
                shared,
                _page,
            }),
        }
    }

    /// The grant's number, for `urb-ring-ref` and the like.
    #[must_use]
    pub fn reference(&self) -> u32 {
        self.grant.reference()
    }
}

/// Where a page of the linear map lies.
fn page_base(page: &Page) -> Option<NonNull<u8>> {
    // SAFETY: The page is valid.
    NonNull::new(unsafe { bindings::pvusb_helper_page_address(page.as_ptr()) }.cast())
}

/// The backend's end: a page of the other domain, mapped here. It stays valid,
/// and can be unmapped, when that domain has died.
pub struct MappedRing {
    shared: Shared,
    dev: ARef<Device>,
}

impl MappedRing {
    /// Maps the page that the other half of `dev` has granted as `gref`.
    /// Sleeps. When it fails the core reports it and switches to `Closing`.
    ///
    /// # Errors
    ///
    /// `ENOENT` no such grant, `ENOMEM`.
    pub fn map<Ctx>(dev: &Device<Ctx>, gref: u32) -> Result<Self>
    where
        Ctx: DeviceContext,
        for<'a> ARef<Device>: From<&'a Device<Ctx>>,
    {
        let mut reference: bindings::grant_ref_t = gref;
        let mut base = core::ptr::null_mut();
        // SAFETY: The device is valid, there is one reference, and `base` can
        // be written.
        to_result(unsafe {
            bindings::xenbus_map_ring_valloc(dev.as_raw(), &raw mut reference, 1, &raw mut base)
        })?;
        let base = NonNull::new(base.cast()).ok_or(ENOMEM)?;
        Ok(Self {
            // SAFETY: The page is mapped until this value is dropped, and only
            // accessed through it.
            shared: unsafe { Shared::new(base) },
            dev: dev.into(),
        })
    }
}

impl Drop for MappedRing {
    fn drop(&mut self) {
        // A failure has been reported, and the address is then not used again.
        //
        // SAFETY: The page was mapped by `map` for this device.
        unsafe {
            bindings::xenbus_unmap_ring_vfree(self.dev.as_raw(), self.shared.base().cast());
        }
    }
}

macro_rules! shared_page {
    ($type:ty) => {
        impl ring::SharedPage for $type {
            #[inline]
            fn load(&self, offset: usize) -> u32 {
                self.shared.load(offset)
            }
            #[inline]
            fn store(&self, offset: usize, value: u32) {
                self.shared.store(offset, value);
            }
            #[inline]
            fn full_barrier(&self) {
                self.shared.full_barrier();
            }
            #[inline]
            fn read(&self, offset: usize, out: &mut [u8]) {
                self.shared.read(offset, out);
            }
            #[inline]
            fn write(&self, offset: usize, bytes: &[u8]) {
                self.shared.write(offset, bytes);
            }
        }
    };
}
shared_page!(RingPage);
shared_page!(MappedRing);
