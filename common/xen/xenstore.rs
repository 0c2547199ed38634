// SPDX-License-Identifier: GPL-2.0

//! The xenstore: small texts under paths, shared between domains.
//!
//! Much of it can be written by the other domain at any time. A value is read
//! as bytes, once, up to a size that the reader names; numbers are plain
//! decimals or nothing. Everything here sleeps, and waits for the xenstore
//! daemon: in dom0, before the daemon has been started, for ever (see
//! [`crate::watch::Ready`]). `ENOMEM` comes after [`patiently`] only.
//!
//! Paths are given in two parts, a directory and a node below it, as everywhere
//! in the kernel; an empty node names the directory itself. Paths that do not
//! start with `/` are relative to this domain's `/local/domain/<domid>`.

use crate::patience::patiently;
use core::{marker::PhantomData, slice};
use kernel::{
    error::{from_err_ptr, to_result},
    fmt,
    prelude::*,
    str::CString,
};
use xen_sys::bindings;

/// Most bytes that a path may have, its end included
/// (`XENSTORE_ABS_PATH_MAX` of `public/io/xs_wire.h`).
pub const PATH_MAX: usize = 3072;

/// A value of at most `N` bytes, any bytes.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Text<N> {
    /// A copy of `from`; `E2BIG` when it is longer than `N`.
    fn copy(from: &[u8]) -> Result<Self> {
        let mut bytes = [0; N];
        bytes
            .get_mut(..from.len())
            .ok_or(E2BIG)?
            .copy_from_slice(from);
        Ok(Self {
            bytes,
            length: from.len(),
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The value as text, unless it is not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(self.as_bytes()).ok()
    }

    /// The value as a number, if it is one: see [`parse_decimal`].
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        parse_decimal(self.as_bytes())
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// Reads 1 to 10 decimal digits, without sign, space or end of line, that make
/// a number below 2^32. Anything else is no number.
#[must_use]
pub fn parse_decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0u32, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        number.checked_mul(10)?.checked_add(u32::from(digit))
    })
}

/// The xenstore as seen from one transaction, or without any.
///
/// A transaction hands one to its body, whose lifetime keeps it inside.
pub struct Store<'t> {
    id: u32,
    _transaction: PhantomData<&'t ()>,
}

impl Store<'static> {
    /// Without a transaction: each call takes effect at once, by itself.
    pub const DIRECT: Self = Store {
        id: 0,
        _transaction: PhantomData,
    };
}

impl Store<'_> {
    /// The view from within transaction `id`, for as long as the caller says.
    pub(crate) fn inside(id: u32) -> Self {
        Store {
            id,
            _transaction: PhantomData,
        }
    }

    fn raw(&self) -> bindings::xenbus_transaction {
        bindings::xenbus_transaction { id: self.id }
    }

    /// Reads a node of at most `N` bytes.
    ///
    /// # Errors
    ///
    /// `ENOENT` no such node, `EACCES` not readable by us, `E2BIG` longer than
    /// `N`, `ENOMEM`.
    pub fn read<const N: usize>(&self, dir: &CStr, node: &CStr) -> Result<Text<N>> {
        let mut length = 0;
        let value = patiently(|| {
            // SAFETY: The strings are valid and `length` can be written. The result
            // is an error or an allocation of `length` bytes, ours to free.
            from_err_ptr(unsafe {
                bindings::xenbus_read(
                    self.raw(),
                    dir.as_char_ptr(),
                    node.as_char_ptr(),
                    &raw mut length,
                )
            })
        })?;
        // SAFETY: `value` has `length` bytes and no one else knows it.
        let bytes = unsafe { slice::from_raw_parts(value.cast::<u8>(), length as usize) };
        let text = Text::copy(bytes);
        // SAFETY: As said above, `value` is ours, and `bytes` is used no more.
        unsafe { bindings::kfree(value) };
        text
    }

    /// Reads a node that holds a decimal number.
    ///
    /// # Errors
    ///
    /// `EINVAL` not a number, or as [`Self::read`].
    pub fn read_number(&self, dir: &CStr, node: &CStr) -> Result<u32> {
        match self.read::<10>(dir, node) {
            Ok(text) => text.number().ok_or(EINVAL),
            Err(E2BIG) => Err(EINVAL),
            Err(error) => Err(error),
        }
    }

    /// Reads a decimal number that may be absent.
    ///
    /// # Errors
    ///
    /// As [`Self::read_number`], without `ENOENT`.
    pub fn read_optional_number(&self, dir: &CStr, node: &CStr) -> Result<Option<u32>> {
        match self.read_number(dir, node) {
            Ok(number) => Ok(Some(number)),
            Err(ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a node, making it and its parents when they are not there. To not
    /// bring a removed tree back to life, use `Device::while_alive`.
    ///
    /// # Errors
    ///
    /// `EACCES` not writable by us, `ENOSPC` over this domain's quota.
    pub fn write(&self, dir: &CStr, node: &CStr, value: &CStr) -> Result {
        patiently(|| {
            // SAFETY: The strings are valid.
            to_result(unsafe {
                bindings::xenbus_write(
                    self.raw(),
                    dir.as_char_ptr(),
                    node.as_char_ptr(),
                    value.as_char_ptr(),
                )
            })
        })
    }

    /// Writes a formatted text: `write_fmt(dir, node, fmt!("{}", number))`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or as [`Self::write`].
    pub fn write_fmt(&self, dir: &CStr, node: &CStr, value: fmt::Arguments<'_>) -> Result {
        let value = patiently(|| CString::try_from_fmt(value))?;
        self.write(dir, node, &value)
    }

    /// Writes a decimal number.
    ///
    /// # Errors
    ///
    /// As [`Self::write_fmt`].
    pub fn write_number(&self, dir: &CStr, node: &CStr, value: u32) -> Result {
        self.write_fmt(dir, node, fmt!("{value}"))
    }

    /// Whether a node exists.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], without `ENOENT` and `E2BIG`.
    pub fn exists(&self, dir: &CStr, node: &CStr) -> Result<bool> {
        match self.read::<1>(dir, node) {
            Ok(_) | Err(E2BIG) => Ok(true),
            Err(ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a node and all below it. One that is not there is a success.
    ///
    /// # Errors
    ///
    /// `EACCES` not ours.
    pub fn remove(&self, dir: &CStr, node: &CStr) -> Result {
        match patiently(|| {
            // SAFETY: The strings are valid.
            to_result(unsafe {
                bindings::xenbus_rm(self.raw(), dir.as_char_ptr(), node.as_char_ptr())
            })
        }) {
            Err(ENOENT) => Ok(()),
            result => result,
        }
    }

    /// Calls `each` with the name of every node in a directory, in no order.
    /// The names are the other side's if it may write there.
    ///
    /// # Errors
    ///
    /// `ENOENT` no such directory, `EACCES`, `E2BIG` more than the daemon lists
    /// in one message (4096 bytes), the first error of `each`.
    pub fn list(&self, dir: &CStr, node: &CStr, mut each: impl FnMut(&CStr) -> Result) -> Result {
        let mut count = 0;
        let names = patiently(|| {
            // SAFETY: The strings are valid and `count` can be written. The result
            // is an error or one allocation of `count` pointers to strings within
            // it, ours to free.
            from_err_ptr(unsafe {
                bindings::xenbus_directory(
                    self.raw(),
                    dir.as_char_ptr(),
                    node.as_char_ptr(),
                    &raw mut count,
                )
            })
        })?;
        // SAFETY: `names` has `count` pointers and no one else knows it.
        let result = unsafe { slice::from_raw_parts(names, count as usize) }
            .iter()
            // SAFETY: Each points to a string in the same allocation.
            .try_for_each(|&name| each(unsafe { CStr::from_char_ptr(name) }));
        // SAFETY: As said above, `names` is ours and used no more.
        unsafe { bindings::kfree(names.cast()) };
        result
    }
}

/// A path made from a format: `path(fmt!("{}/port", dev.nodename()))`.
///
/// # Errors
///
/// `ENAMETOOLONG` longer than xenstore allows, `EINVAL` a NUL inside, `ENOMEM`.
pub fn path(format: fmt::Arguments<'_>) -> Result<CString> {
    let path = patiently(|| CString::try_from_fmt(format))?;
    if path.to_bytes_with_nul().len() > PATH_MAX {
        return Err(ENAMETOOLONG);
    }
    Ok(path)
}
