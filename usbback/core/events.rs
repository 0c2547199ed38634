// SPDX-License-Identifier: GPL-2.0

//! What the guest has to be told about one port.
//!
//! The conn ring may be full, and a device may come and go meanwhile. However
//! often it does, two events are enough: that the old one is gone, and what is
//! there now. So nothing has to be stored per event, and nothing is lost. That a
//! suspended device has woken up is said by saying again that it is there.

use usbif::Speed;

/// The connection events of one port that are still to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// What the guest has been told last.
    told: Speed,
    /// What is true.
    now: Speed,
    /// Since then the port has been empty.
    gap: bool,
    /// The device has woken up.
    awake: bool,
}

impl Events {
    /// Nothing told, nothing there.
    pub const EMPTY: Self = Self {
        told: Speed::None,
        now: Speed::None,
        gap: false,
        awake: false,
    };

    /// A device has come, [`Speed::None`]: has gone. A device that comes has
    /// not been there before, also when the port was not seen empty.
    pub fn set(&mut self, speed: Speed) {
        self.now = speed;
        self.gap = true;
        self.awake = false;
    }

    /// The device that is there has woken up.
    pub fn wake(&mut self) {
        self.awake = self.now != Speed::None;
    }

    /// The next event to send.
    #[must_use]
    pub fn peek(&self) -> Option<Speed> {
        if self.gap && self.told != Speed::None {
            Some(Speed::None)
        } else if self.told != self.now || self.awake {
            Some(self.now)
        } else {
            None
        }
    }

    /// The event of [`Self::peek`] has been sent.
    pub fn sent(&mut self) {
        if let Some(speed) = self.peek() {
            self.awake &= self.gap && self.told != Speed::None;
            self.told = speed;
            self.gap = false;
        }
    }

    /// A new frontend, which knows nothing.
    pub fn forget(&mut self) {
        self.told = Speed::None;
        self.gap = false;
        self.awake = false;
    }
}
