// SPDX-License-Identifier: GPL-2.0

//! Little-endian fields of a fixed-size entry.
//!
//! An offset beyond the entry reads as 0 and writes nothing; the offsets are
//! constants of this crate, and its tests compare them with the C layout.

pub(crate) fn array<const N: usize>(entry: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(bytes) = entry.get(at..).and_then(|rest| rest.get(..N)) {
        out.copy_from_slice(bytes);
    }
    out
}

pub(crate) fn u16_at(entry: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array(entry, at))
}

pub(crate) fn u32_at(entry: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(entry, at))
}

pub(crate) fn i32_at(entry: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(array(entry, at))
}

pub(crate) fn put(entry: &mut [u8], at: usize, field: &[u8]) {
    if let Some(bytes) = entry
        .get_mut(at..)
        .and_then(|rest| rest.get_mut(..field.len()))
    {
        bytes.copy_from_slice(field);
    }
}
