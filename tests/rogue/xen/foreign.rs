// SPDX-License-Identifier: GPL-2.0

//! Pages that another domain has granted to us, through `/dev/xen/gntdev`
//! (include/uapi/xen/gntdev.h): mapped, or copied from and to.

#![allow(unsafe_code)]

use super::grant::{Page, GROUP};
use super::ioctl::{call, Argument};
use super::DomId;
use crate::Result;
use std::fs::File;
use std::sync::Arc;

/// `struct ioctl_gntdev_map_grant_ref` for one page.
#[derive(Clone, Copy)]
#[repr(C)]
struct Map {
    count: u32,
    _pad: u32,
    index: u64,
    domid: u32,
    gref: u32,
}

// SAFETY: As the header has it.
unsafe impl Argument for Map {}

/// The foreign side of `struct gntdev_grant_copy_segment`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Place {
    gref: u32,
    offset: u16,
    domid: u16,
}

/// Either side of it.
#[derive(Clone, Copy)]
#[repr(C)]
union Side {
    ours: *mut u8,
    theirs: Place,
}

/// `struct gntdev_grant_copy_segment`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Segment {
    source: Side,
    dest: Side,
    length: u16,
    flags: u16,
    status: i16,
}

/// `struct ioctl_gntdev_grant_copy`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Copies {
    count: u32,
    segments: *mut Segment,
}

// SAFETY: As the header has it; the pointer is to the segments, see `copy`.
unsafe impl Argument for Copies {}

const MAP_GRANT_REF: u8 = 0;
const UNMAP_GRANT_REF: u8 = 1;
const GRANT_COPY: u8 = 8;
const SOURCE_IS_GREF: u16 = 1;
const DEST_IS_GREF: u16 = 2;

/// The pages that one domain grants us.
#[derive(Clone)]
pub(crate) struct Foreign {
    file: Arc<File>,
    domain: DomId,
}

impl Foreign {
    pub(crate) fn open(domain: DomId) -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/xen/gntdev")?;
        Ok(Self {
            file: Arc::new(file),
            domain,
        })
    }

    /// Maps a page for reading and writing.
    pub(crate) fn page(&self, gref: u32) -> Result<Page> {
        let mut map = Map {
            count: 1,
            _pad: 0,
            index: 0,
            domid: self.domain.into(),
            gref,
        };
        call(&*self.file, GROUP, MAP_GRANT_REF, &mut map)?;
        Page::map(&self.file, map.index, gref, UNMAP_GRANT_REF)
    }

    /// Copies bytes of a page.
    pub(crate) fn read(&self, gref: u32, offset: u16, out: &mut [u8]) -> Result<()> {
        let ours = Side {
            ours: out.as_mut_ptr(),
        };
        let theirs = self.place(gref, offset);
        // SAFETY: `out` is writable, and as long as it says.
        unsafe { self.copy(theirs, ours, out.len(), SOURCE_IS_GREF) }
    }

    /// Copies bytes into a page.
    pub(crate) fn write(&self, gref: u32, offset: u16, bytes: &[u8]) -> Result<()> {
        let ours = Side {
            ours: bytes.as_ptr().cast_mut(),
        };
        let theirs = self.place(gref, offset);
        // SAFETY: `bytes` is only read from.
        unsafe { self.copy(ours, theirs, bytes.len(), DEST_IS_GREF) }
    }

    fn place(&self, gref: u32, offset: u16) -> Side {
        Side {
            theirs: Place {
                gref,
                offset,
                domid: self.domain,
            },
        }
    }

    /// # Safety
    /// The side that is ours has `length` bytes, writable if it is the destination.
    unsafe fn copy(&self, source: Side, dest: Side, length: usize, flags: u16) -> Result<()> {
        if length == 0 {
            return Ok(());
        }
        let mut segment = Segment {
            source,
            dest,
            length: u16::try_from(length)?,
            flags,
            status: 0,
        };
        let mut copy = Copies {
            count: 1,
            segments: &raw mut segment,
        };
        call(&*self.file, GROUP, GRANT_COPY, &mut copy)?;
        match segment.status {
            0 => Ok(()),
            status => Err(format!("a page cannot be copied: status {status}").into()),
        }
    }
}
