// SPDX-License-Identifier: GPL-2.0

//! Where things lie in the shared page, and how the page is accessed.

/// Size of the shared page in bytes (XEN_PAGE_SIZE).
pub const PAGE_SIZE: usize = 4096;

pub(crate) const REQ_PROD: usize = 0;
pub(crate) const REQ_EVENT: usize = 4;
pub(crate) const RSP_PROD: usize = 8;
pub(crate) const RSP_EVENT: usize = 12;
const ENTRIES: usize = 64;

/// One page that the other domain can write at any time. Offsets are in bytes
/// from its start, u32 offsets are multiples of 4.
pub trait SharedPage {
    /// Reads an index once, ordered before everything that follows (acquire).
    fn load(&self, offset: usize) -> u32;
    /// Writes an index, ordered after everything before it (release).
    fn store(&self, offset: usize, value: u32);
    /// Orders all accesses before it with all after it, between two processors
    /// even when this domain has only one (the kernel's `virt_mb()`).
    fn full_barrier(&self);
    /// Copies bytes out, each read exactly once. A range that leaves the page
    /// leaves `out` untouched.
    fn read(&self, offset: usize, out: &mut [u8]);
    /// Copies bytes in. A range that leaves the page writes nothing.
    fn write(&self, offset: usize, bytes: &[u8]);
}

/// Entries of a ring whose larger message has `entry_size` bytes: the greatest
/// power of two that fits (`__CONST_RING_SIZE` of ring.h).
///
/// A size of 0, or one that does not fit at all, has no entries.
#[must_use]
pub const fn entries(entry_size: usize) -> u32 {
    match (PAGE_SIZE.saturating_sub(ENTRIES)).checked_div(entry_size) {
        None | Some(0) => 0,
        // The quotient is at most 4032 and not 0, so its logarithm is below 12.
        Some(n) => 1u32.wrapping_shl(n.ilog2()),
    }
}

/// Byte offset of the entry that a free-running index falls on.
pub(crate) const fn entry_offset(index: u32, entry_size: usize) -> usize {
    let slot = index & entries(entry_size).wrapping_sub(1);
    // At most PAGE_SIZE by the construction of `entries`; saturation only
    // keeps the arithmetic total, and SharedPage refuses what leaves the page.
    ENTRIES.saturating_add((slot as usize).saturating_mul(entry_size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_match_the_interface() {
        assert_eq!(entries(148), 16); // XENUSB_URB_RING_SIZE
        assert_eq!(entries(4), 512); // XENUSB_CONN_RING_SIZE
        assert_eq!(entries(0), 0);
        assert_eq!(entries(4032), 1);
        assert_eq!(entries(4033), 0);
    }

    #[test]
    fn every_entry_lies_in_the_page() {
        for size in [4, 16, 148, 1000, 4032] {
            for index in (0..entries(size)).chain([u32::MAX, u32::MAX - 1, 1 << 31]) {
                assert!(entry_offset(index, size) >= ENTRIES);
                assert!(entry_offset(index, size) + size <= PAGE_SIZE);
            }
        }
    }
}
