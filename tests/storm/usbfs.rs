// SPDX-License-Identifier: GPL-2.0

//! URBs through usbfs (include/uapi/linux/usbdevice_fs.h).
//!
//! The kernel knows a URB by its address. None is used twice and none is freed, nor
//! its buffer, so that one that comes back again is recognized whenever that is.

#![allow(unsafe_code)]

use crate::Result;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::ioctl::{self, opcode, Direction, Ioctl, IoctlOutput, Opcode};
use rustix::mm::{mmap, MapFlags, ProtFlags};
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::fs::File;
use std::io::Read;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Length of a setup packet, which comes first in a control URB's buffer.
const SETUP: usize = 8;
const SHORT_NOT_OK: u32 = 1;
pub(crate) const PAGE: usize = 4096;

/// `struct usbdevfs_urb`.
#[repr(C)]
struct Raw {
    kind: u8,
    endpoint: u8,
    status: i32,
    flags: u32,
    buffer: *mut u8,
    buffer_length: i32,
    actual_length: i32,
    start_frame: i32,
    number_of_packets: i32,
    error_count: i32,
    signr: u32,
    usercontext: usize,
}

const _: () = assert!(size_of::<Raw>() == 56);

/// Type of a URB, as usbfs numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Interrupt = 1,
    Control = 2,
    Bulk = 3,
}

/// A URB to be.
pub(crate) struct Urb {
    pub(crate) kind: Kind,
    /// Endpoint address; 0 for control.
    pub(crate) endpoint: u8,
    /// Ending early is an error (`URB_SHORT_NOT_OK`).
    pub(crate) short_not_ok: bool,
    /// Data; for IN what is to be overwritten. Of a control URB the setup packet
    /// comes first.
    pub(crate) buffer: &'static mut [u8],
    /// Comes back with it.
    pub(crate) number: usize,
}

/// By which a URB that was submitted is taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle(usize);

/// A URB that has come back.
#[derive(Debug)]
pub(crate) struct Back {
    pub(crate) number: usize,
    /// 0 or a negative errno.
    pub(crate) status: i32,
    /// So many first bytes of the data were moved.
    pub(crate) actual: usize,
    /// The data, without a setup packet.
    pub(crate) data: Vec<u8>,
}

/// What an ioctl is given: a pointer, or a number in its place.
struct Call {
    opcode: Opcode,
    argument: *mut c_void,
}

// SAFETY: The constructors below give each opcode what its header demands, and
// what is pointed to lives until the call is over.
unsafe impl Ioctl for Call {
    type Output = ();

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

const GROUP: u8 = b'U';

impl Call {
    fn new(direction: Direction, number: u8, size: usize, argument: *mut c_void) -> Self {
        Self {
            opcode: opcode::from_components(direction, GROUP, number, size),
            argument,
        }
    }

    fn submit(urb: *mut Raw) -> Self {
        Self::new(Direction::Read, 10, size_of::<Raw>(), urb.cast())
    }

    fn discard(urb: usize) -> Self {
        Self::new(Direction::None, 11, 0, null_mut::<c_void>().with_addr(urb))
    }

    fn reap_at_once(place: &mut *mut Raw) -> Self {
        let place = (&raw mut *place).cast();
        Self::new(Direction::Write, 13, size_of::<*mut Raw>(), place)
    }

    fn claim(interface: &mut u32) -> Self {
        let interface = (&raw mut *interface).cast();
        Self::new(Direction::Read, 15, size_of::<u32>(), interface)
    }
}

fn call(file: impl AsFd, call: Call) -> rustix::io::Result<()> {
    // SAFETY: `Call` is right for the driver behind usbfs nodes; on any other
    // file these opcodes are refused.
    unsafe { ioctl::ioctl(file, call) }
}

/// An open device, whose interface 0 is ours if it was claimed.
pub(crate) struct Usbfs {
    file: File,
    /// Addresses of all URBs that were ever submitted.
    known: Mutex<BTreeSet<usize>>,
}

impl Usbfs {
    pub(crate) fn open(node: &str) -> Result<Self> {
        let opened = Self::unclaimed(node)?;
        call(&opened.file, Call::claim(&mut 0))?;
        Ok(opened)
    }

    /// A device none of whose interfaces is, such as a root hub.
    pub(crate) fn unclaimed(node: &str) -> Result<Self> {
        Ok(Self {
            file: File::options().read(true).write(true).open(node)?,
            known: Mutex::default(),
        })
    }

    /// The device descriptor.
    pub(crate) fn descriptor(&self) -> Result<[u8; 18]> {
        let mut descriptor = [0; 18];
        (&self.file).read_exact(&mut descriptor)?;
        Ok(descriptor)
    }

    /// A page of the kernel's for a URB's data: nothing is copied on the way to the
    /// host controller, which gets the page itself.
    pub(crate) fn page(&self) -> Result<&'static mut [u8]> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: The address is the kernel's to choose.
        let page = unsafe { mmap(null_mut(), PAGE, access, MapFlags::SHARED, &self.file, 0) }?;
        // SAFETY: A new mapping of that length, which is never undone and which nobody
        // else knows. Until a URB is reaped its device may write there, and nobody looks.
        Ok(unsafe { std::slice::from_raw_parts_mut(page.cast(), PAGE) })
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.known
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn submit(&self, urb: Urb) -> Result<Handle> {
        let buffer = urb.buffer;
        let raw = Box::into_raw(Box::new(Raw {
            kind: urb.kind as u8,
            endpoint: urb.endpoint,
            status: 0,
            flags: if urb.short_not_ok { SHORT_NOT_OK } else { 0 },
            buffer: buffer.as_mut_ptr(),
            buffer_length: i32::try_from(buffer.len())?,
            actual_length: 0,
            start_frame: 0,
            number_of_packets: 0,
            error_count: 0,
            signr: 0,
            usercontext: urb.number,
        }));
        self.known().insert(raw.expose_provenance());
        call(&self.file, Call::submit(raw))?;
        Ok(Handle(raw.addr()))
    }

    /// Takes a URB back, and waits until it is; it has still to be reaped. False:
    /// it had ended before.
    pub(crate) fn discard(&self, handle: Handle) -> Result<bool> {
        match call(&self.file, Call::discard(handle.0)) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The next URB that has come back, if there is one.
    pub(crate) fn reap(&self) -> Result<Option<Back>> {
        let mut raw: *mut Raw = null_mut();
        match call(&self.file, Call::reap_at_once(&mut raw)) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if !self.known().contains(&raw.addr()) {
            return Err("a URB comes back that was never submitted".into());
        }
        // SAFETY: Leaked by submit(), where nobody keeps a reference to it.
        let urb = unsafe { raw.read_volatile() };
        let length = usize::try_from(urb.buffer_length)?;
        // SAFETY: Given to submit() for ever, with that length; the kernel writes to it
        // when it is reaped, and it has just been.
        let buffer = unsafe { std::slice::from_raw_parts(urb.buffer, length) };
        let start = if urb.kind == Kind::Control as u8 {
            SETUP
        } else {
            0
        };
        Ok(Some(Back {
            number: urb.usercontext,
            status: urb.status,
            actual: usize::try_from(urb.actual_length)?,
            data: buffer.get(start..).unwrap_or_default().to_vec(),
        }))
    }

    /// Waits until one has come back; false if none has in time.
    pub(crate) fn wait(&self, limit: Duration) -> Result<bool> {
        let limit = Timespec::try_from(limit).map_err(|_| "a limit too long")?;
        let file: BorrowedFd<'_> = self.file.as_fd();
        Ok(poll(
            &mut [PollFd::from_borrowed_fd(file, PollFlags::OUT)],
            Some(&limit),
        )? > 0)
    }
}
