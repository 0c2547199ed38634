// SPDX-License-Identifier: GPL-2.0

//! What each half of a controller counts.
//!
//! A URB of the frontend may be several requests on the ring; the frontend counts
//! URBs, the backend requests.

use crate::{Direction, Status};
use core::ffi::CStr;

/// Counts since the halves were connected; they wrap at 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Those taken: from class drivers, or off the ring.
    pub submitted: u64,
    /// Those given back that nobody had cancelled, failed ones included.
    pub completed: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Those given back because they were cancelled.
    pub unlinked: u64,
    /// Bytes that devices have sent.
    pub bytes_in: u64,
    /// Bytes that devices were sent.
    pub bytes_out: u64,
    /// Times that one was taken while the ring had no entry left for a URB, or
    /// took the last place.
    pub ring_full: u64,
    /// Events with nothing to do.
    pub spurious_events: u64,
}

const ENOENT: i32 = -2;
const ECONNRESET: i32 = -104;

fn count(counter: &mut u64, by: u64) {
    *counter = counter.wrapping_add(by);
}

impl Statistics {
    /// Names of the counters, as files have them.
    pub const NAMES: &'static [&'static CStr] = &[
        c"submitted",
        c"completed",
        c"errors",
        c"unlinked",
        c"bytes_in",
        c"bytes_out",
        c"ring_full",
        c"spurious_events",
    ];

    /// The counters in the order of [`Self::NAMES`].
    #[must_use]
    pub fn values(&self) -> [u64; Self::NAMES.len()] {
        [
            self.submitted,
            self.completed,
            self.errors,
            self.unlinked,
            self.bytes_in,
            self.bytes_out,
            self.ring_full,
            self.spurious_events,
        ]
    }

    /// Counts one taken.
    pub fn took(&mut self) {
        count(&mut self.submitted, 1);
    }

    /// Counts a URB given back with this status, 0 or a negative errno. Those
    /// of usb_kill_urb() and usb_unlink_urb() are cancelled ones.
    pub fn gave_back(&mut self, status: i32, direction: Direction, bytes: u32) {
        match status {
            0 => self.ended(Status::Ok, direction, bytes),
            ENOENT | ECONNRESET => self.ended(Status::Shutdown, direction, bytes),
            _ => self.ended(Status::IoError, direction, bytes),
        }
    }

    /// Counts a request answered with this status; [`Status::Shutdown`] is that of
    /// cancelled ones.
    pub fn ended(&mut self, status: Status, direction: Direction, bytes: u32) {
        match status {
            Status::Ok => count(&mut self.completed, 1),
            Status::Shutdown => count(&mut self.unlinked, 1),
            _ => {
                count(&mut self.completed, 1);
                count(&mut self.errors, 1);
            }
        }
        let moved = match direction {
            Direction::In => &mut self.bytes_in,
            Direction::Out => &mut self.bytes_out,
        };
        count(moved, u64::from(bytes));
    }

    /// Counts one that finds the ring full.
    pub fn waited(&mut self) {
        count(&mut self.ring_full, 1);
    }

    /// Counts an event with nothing to do.
    pub fn spurious(&mut self) {
        count(&mut self.spurious_events, 1);
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
            statistics.gave_back(status, Direction::In, 10);
        }
        statistics.ended(Status::Ok, Direction::Out, 7);
        statistics.waited();
        statistics.spurious();
        let wanted = Statistics {
            submitted: 5,
            completed: 4,
            errors: 2,
            unlinked: 2,
            bytes_in: 50,
            bytes_out: 7,
            ring_full: 1,
            spurious_events: 1,
        };
        assert_eq!(statistics, wanted);
    }

    #[test]
    fn each_value_has_its_name() {
        let mut statistics = Statistics::default();
        statistics.took();
        statistics.spurious();
        assert_eq!(statistics.values(), [1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(Statistics::NAMES[7], c"spurious_events");
    }
}
