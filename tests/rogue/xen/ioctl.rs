// SPDX-License-Identifier: GPL-2.0

//! The ioctls of the Xen drivers. All are of the kind without a direction
//! (`_IOC(_IOC_NONE, group, number, size)`), although they read and write.

#![allow(unsafe_code)]

use rustix::fd::AsFd;
use rustix::ioctl::{self, opcode, Direction, Ioctl, IoctlOutput, Opcode};
use std::ffi::c_void;

/// A structure that the kernel reads and writes: integers without gaps, as the
/// header lays it out.
///
/// # Safety
/// The type has the layout of the C structure of each ioctl that it is used for.
pub(crate) unsafe trait Argument: Copy {}

struct Call<'a, T> {
    opcode: Opcode,
    argument: &'a mut T,
}

// SAFETY: The opcode is only used with its own structure (`Argument`), which
// the reference keeps writable during the call.
unsafe impl<T: Argument> Ioctl for Call<'_, T> {
    type Output = u32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut *self.argument).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        // Errors have been taken out: what is left is not negative.
        Ok(out.unsigned_abs())
    }
}

/// Calls a driver; returns what the call returns.
pub(crate) fn call<T: Argument>(
    file: impl AsFd,
    group: u8,
    number: u8,
    argument: &mut T,
) -> rustix::io::Result<u32> {
    let opcode = opcode::from_components(Direction::None, group, number, size_of::<T>());
    // SAFETY: `Call` describes the argument truly.
    unsafe { ioctl::ioctl(file, Call { opcode, argument }) }
}
