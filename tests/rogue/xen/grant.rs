// SPDX-License-Identifier: GPL-2.0

//! Pages granted to another domain, through `/dev/xen/gntalloc`
//! (include/uapi/xen/gntalloc.h), and what is common to all shared pages.

#![allow(unsafe_code)]

use super::ioctl::{call, Argument};
use super::DomId;
use crate::Result;
use ring::{SharedPage, PAGE_SIZE};
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use std::fs::File;
use std::ptr::NonNull;
use std::sync::atomic::{fence, AtomicU32, AtomicU8, Ordering};
use std::sync::Arc;

/// `struct ioctl_gntalloc_alloc_gref` for one page.
#[derive(Clone, Copy)]
#[repr(C)]
struct Alloc {
    domid: u16,
    flags: u16,
    count: u32,
    index: u64,
    gref: u32,
    // The C structure is padded to a multiple of 8 bytes.
    _pad: u32,
}

// SAFETY: As the header has it.
unsafe impl Argument for Alloc {}

/// `struct ioctl_gntalloc_dealloc_gref`, and `struct ioctl_gntdev_unmap_grant_ref`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Release {
    index: u64,
    count: u32,
    _pad: u32,
}

// SAFETY: As both headers have it.
unsafe impl Argument for Release {}

pub(super) const GROUP: u8 = b'G';
const ALLOC_GREF: u8 = 5;
const DEALLOC_GREF: u8 = 6;
const WRITABLE: u16 = 1;

/// What the other domain may do with a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    ReadWrite,
}

/// Makes granted pages. The driver allows 1024 at a time.
#[derive(Clone)]
pub(crate) struct Grants(Arc<File>);

impl Grants {
    pub(crate) fn open() -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/xen/gntalloc")?;
        Ok(Self(Arc::new(file)))
    }

    /// A zeroed page, granted to `domain`.
    pub(crate) fn page(&self, domain: DomId, access: Access) -> Result<Page> {
        let mut alloc = Alloc {
            domid: domain,
            flags: if access == Access::ReadWrite {
                WRITABLE
            } else {
                0
            },
            count: 1,
            index: 0,
            gref: 0,
            _pad: 0,
        };
        call(&*self.0, GROUP, ALLOC_GREF, &mut alloc)?;
        Page::map(&self.0, alloc.index, alloc.gref, DEALLOC_GREF)
    }
}

struct Mapping {
    base: Option<NonNull<u8>>,
    gref: u32,
    index: u64,
    /// The number of the call that gives the page up.
    release: u8,
    file: Arc<File>,
}

// SAFETY: The memory is shared with another domain anyway, and only accessed
// through atomics.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Some(base) = self.base {
            // SAFETY: Nobody refers to the page any more.
            let _ = unsafe { munmap(base.as_ptr().cast(), PAGE_SIZE) };
        }
        let mut release = Release {
            index: self.index,
            count: 1,
            _pad: 0,
        };
        let _ = call(&*self.file, GROUP, self.release, &mut release);
    }
}

/// A granted page, ours or another domain's; grant or mapping ends with its last
/// clone.
#[derive(Clone)]
pub(crate) struct Page(Arc<Mapping>);

impl Page {
    /// Maps what a driver has put at `index`; `release` gives it up again.
    pub(super) fn map(file: &Arc<File>, index: u64, gref: u32, release: u8) -> Result<Self> {
        let mut mapping = Mapping {
            base: None,
            gref,
            index,
            release,
            file: file.clone(),
        };
        // SAFETY: A new mapping, wherever the kernel puts it.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                PAGE_SIZE,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &**file,
                index,
            )?
        };
        mapping.base = NonNull::new(base.cast());
        Ok(Self(Arc::new(mapping)))
    }

    /// The grant's number.
    pub(crate) fn gref(&self) -> u32 {
        self.0.gref
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        let inside = offset % 4 == 0 && offset < PAGE_SIZE;
        let base = self.0.base.filter(|_| inside)?;
        // SAFETY: Inside of the page, aligned, mapped as long as `self`.
        Some(unsafe { &*base.as_ptr().add(offset).cast() })
    }

    fn bytes(&self, offset: usize, length: usize) -> &[AtomicU8] {
        let inside = offset
            .checked_add(length)
            .is_some_and(|end| end <= PAGE_SIZE);
        match self.0.base.filter(|_| inside) {
            // SAFETY: Inside of the page, mapped as long as `self`.
            Some(base) => unsafe {
                std::slice::from_raw_parts(base.as_ptr().add(offset).cast(), length)
            },
            None => &[],
        }
    }

    /// Its bytes from `offset` on.
    pub(crate) fn copy(&self, offset: usize, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        self.read(offset, &mut out);
        out
    }
}

impl SharedPage for Page {
    fn load(&self, offset: usize) -> u32 {
        self.word(offset)
            .map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn store(&self, offset: usize, value: u32) {
        if let Some(word) = self.word(offset) {
            word.store(value, Ordering::Release);
        }
    }

    fn full_barrier(&self) {
        fence(Ordering::SeqCst);
    }

    fn read(&self, offset: usize, out: &mut [u8]) {
        let length = out.len();
        for (to, from) in out.iter_mut().zip(self.bytes(offset, length)) {
            *to = from.load(Ordering::Relaxed);
        }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        for (to, from) in self.bytes(offset, bytes.len()).iter().zip(bytes) {
            to.store(*from, Ordering::Relaxed);
        }
    }
}
