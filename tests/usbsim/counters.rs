// SPDX-License-Identifier: GPL-2.0

//! What has passed through one endpoint, for tests to look at.

use std::fmt;

/// Counts since the device was plugged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Transfers answered.
    pub urbs: u64,
    /// Transfers taken back by the host.
    pub unlinked: u64,
    /// Bytes moved.
    pub bytes: u64,
    /// Isochronous packets moved.
    pub packets: u64,
    /// Isochronous slots that the host left unused between two transfers.
    pub missed: u64,
    /// Isochronous packets submitted after their slot.
    pub late: u64,
    /// Isochronous slots for which a patient device waited.
    pub waited: u64,
    /// Most transfers that were queued at once.
    pub deepest: usize,
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters {
            urbs,
            unlinked,
            bytes,
            packets,
            missed,
            late,
            waited,
            deepest,
        } = self;
        write!(
            f,
            "urbs={urbs} unlinked={unlinked} bytes={bytes} packets={packets} missed={missed} late={late} waited={waited} deepest={deepest}"
        )
    }
}
