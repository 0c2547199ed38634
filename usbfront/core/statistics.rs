// SPDX-License-Identifier: GPL-2.0

//! What the `statistics` file counts.

/// Counts since the controller was connected; they wrap at 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// URBs taken from class drivers.
    pub submitted: u64,
    /// URBs given back that nobody had cancelled, failed ones included.
    pub completed: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// URBs given back because they were cancelled.
    pub unlinked: u64,
    /// Times that a URB had to wait because the ring was full.
    pub ring_full: u64,
}

const ENOENT: i32 = -2;
const ECONNRESET: i32 = -104;

impl Statistics {
    /// Counts a URB given back with this status, 0 or a negative errno. Those
    /// of usb_kill_urb() and usb_unlink_urb() are cancelled ones.
    pub fn gave_back(&mut self, status: i32) {
        let count = match status {
            ENOENT | ECONNRESET => &mut self.unlinked,
            _ => &mut self.completed,
        };
        *count = count.wrapping_add(1);
        if !matches!(status, 0 | ENOENT | ECONNRESET) {
            self.failed = self.failed.wrapping_add(1);
        }
    }

    /// Counts a URB taken.
    pub fn took(&mut self) {
        self.submitted = self.submitted.wrapping_add(1);
    }

    /// Counts a URB that waits for the ring.
    pub fn waited(&mut self) {
        self.ring_full = self.ring_full.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_urb_counts_once() {
        let mut statistics = Statistics::default();
        for status in [0, -32, ENOENT, ECONNRESET, -108] {
            statistics.took();
            statistics.gave_back(status);
        }
        statistics.waited();
        let wanted = Statistics {
            submitted: 5,
            completed: 3,
            failed: 2,
            unlinked: 2,
            ring_full: 1,
        };
        assert_eq!(statistics, wanted);
    }
}
