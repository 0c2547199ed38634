// SPDX-License-Identifier: GPL-2.0

//! Time on a simulated bus, and the slots of an isochronous endpoint.
//!
//! Bus time is counted in microframes of 125 µs. It may be stretched, because
//! an emulated processor does not keep up with a real bus; the order and the
//! content of packets do not depend on it.

use std::time::{Duration, Instant};

/// Microframes in a frame of one millisecond.
pub const MICROFRAMES: u64 = 8;
/// How far ahead the first packet of a stream is put, as real controllers do.
const LEAD: u64 = 2 * MICROFRAMES;
/// A stream that nobody has fed for a second of bus time has ended, not starved.
const ENDED: u64 = 1000 * MICROFRAMES;

/// Bus time since a device was plugged.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    microframe: Duration,
}

impl Clock {
    /// A clock that starts now; one bus second takes `scale` real ones.
    #[must_use]
    pub fn new(scale: u32) -> Self {
        Clock {
            origin: Instant::now(),
            microframe: Duration::from_micros(125) * scale.max(1),
        }
    }

    /// Microframes that have passed at a real moment.
    #[must_use]
    pub fn at(&self, now: Instant) -> u64 {
        (now.saturating_duration_since(self.origin).as_nanos() / self.microframe.as_nanos()) as u64
    }

    /// The real moment at which a microframe begins.
    #[must_use]
    pub fn moment(&self, microframe: u64) -> Instant {
        self.origin
            + Duration::from_nanos((self.microframe.as_nanos() as u64).saturating_mul(microframe))
    }
}

/// Where on the bus a transfer's packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Microframe of the first packet.
    pub first: u64,
    /// Microframes from one packet to the next.
    pub period: u64,
    /// Slots before the first packet that passed without one.
    pub missed: u64,
    /// Packets, from the first, whose slots were over already.
    pub late: u32,
    /// Slots for which a patient stream has stood still before the first packet.
    pub waited: u64,
}

impl Slots {
    /// Microframe in which a packet is over; the transfer's own end for the last.
    #[must_use]
    pub fn end(&self, packet: u32) -> u64 {
        self.first + (u64::from(packet) + 1) * self.period
    }
}

/// The slots of one isochronous endpoint: one packet in each, in order.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    period: u64,
    patient: bool,
    next: Option<u64>,
}

impl Stream {
    /// A stream that has not begun, with a slot every `period` microframes.
    ///
    /// No real bus is patient: time stands still for the stream while its host
    /// is late, so that an emulated one that runs by fits and starts loses nothing.
    #[must_use]
    pub fn new(period: u64, patient: bool) -> Self {
        Stream {
            period: period.max(1),
            patient,
            next: None,
        }
    }

    /// Gives the slots of a transfer of `count` packets submitted at `now`.
    ///
    /// They follow the transfer before without a gap. If that is no longer
    /// possible, `asap` decides, as in usb_submit_urb(): either the next slot
    /// to come, or the slots that were due, of which some are over.
    pub fn schedule(&mut self, now: u64, count: u32, asap: bool) -> Slots {
        let period = self.period;
        let soonest = (now + 1).next_multiple_of(period);
        let beginning = (now + LEAD).next_multiple_of(period);
        let (first, missed, late, waited) = match self.next {
            Some(next) if next > now => (next, 0, 0, 0),
            Some(next) if now - next > ENDED => (beginning, 0, 0, 0),
            None => (beginning, 0, 0, 0),
            Some(next) if self.patient => (soonest, 0, 0, (soonest - next) / period),
            Some(next) if asap => (soonest, (soonest - next) / period, 0, 0),
            Some(next) => {
                let over = (soonest - next) / period;
                (next, 0, over.min(u64::from(count)) as u32, 0)
            }
        };
        self.next = Some(first + u64::from(count) * period);
        Slots {
            first,
            period,
            missed,
            late,
            waited,
        }
    }

    /// Ends the stream: the next transfer begins a new one.
    pub fn stop(&mut self) {
        self.next = None;
    }
}
