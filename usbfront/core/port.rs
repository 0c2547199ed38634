// SPDX-License-Identifier: GPL-2.0

//! One port of the root hub (USB 2.0, section 11.5 and 11.24).
//!
//! There is no wire behind it. The backend says what is attached; reset and
//! resume are timed here, and end when somebody looks after their time is up.
//! A reset needs no message: the first request to address 0 that follows it is
//! the backend's sign to reset the real device. Nor does a resume: the core begins it
//! with a request to the device. A suspension has one, if the backend takes it, and
//! may be refused; then the device wakes up as if by itself, and stays awake for a while.

use usbif::Speed;

/// Milliseconds of a clock that never goes back. Its origin does not matter.
pub type Millis = u64;

/// Duration of reset signalling: TDRST, 10 ms at least.
pub const RESET_TIME: Millis = 10;
/// Duration of resume signalling: TDRSMDN, 20 ms at least.
pub const RESUME_TIME: Millis = 20;
/// How long a device stays awake whose suspension the backend has refused, so that
/// the core does not try it again and again.
pub const REFUSAL_TIME: Millis = 30_000;

/// Generation of the controller that the backend's `usb-ver` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsbVersion {
    /// 1: low and full speed.
    Usb11,
    /// 2: high speed too.
    Usb20,
}

impl UsbVersion {
    /// The version that a `usb-ver` node stands for; absent means 2.
    #[must_use]
    pub const fn from_node(value: Option<u32>) -> Option<Self> {
        match value {
            Some(1) => Some(Self::Usb11),
            Some(2) | None => Some(Self::Usb20),
            Some(_) => None,
        }
    }
}

// wPortStatus (table 11-21).
pub(crate) const CONNECTION: u16 = 0x0001;
pub(crate) const ENABLE: u16 = 0x0002;
pub(crate) const SUSPEND: u16 = 0x0004;
pub(crate) const RESET: u16 = 0x0010;
pub(crate) const POWER: u16 = 0x0100;
pub(crate) const LOW_SPEED: u16 = 0x0200;
pub(crate) const HIGH_SPEED: u16 = 0x0400;

// wPortChange (table 11-22) has the same numbers for the same things.
pub(crate) const C_CONNECTION: u16 = 0x0001;
pub(crate) const C_ENABLE: u16 = 0x0002;
pub(crate) const C_SUSPEND: u16 = 0x0004;
pub(crate) const C_OVER_CURRENT: u16 = 0x0008;
pub(crate) const C_RESET: u16 = 0x0010;

/// What the port does, apart from what is attached to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without power nothing is seen.
    Off,
    /// Nothing passes; also the state of an empty port.
    Disabled,
    Resetting {
        until: Millis,
    },
    Enabled,
    Suspended,
    Resuming {
        until: Millis,
    },
}

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    /// What the backend says is attached.
    attached: Speed,
    state: State,
    /// wPortChange.
    change: u16,
    /// The device stays awake until then.
    stays_awake: Millis,
}

impl Port {
    pub(crate) const NEW: Self = Self {
        attached: Speed::None,
        state: State::Off,
        change: 0,
        stays_awake: 0,
    };

    /// The backend says what is attached now. Another device than before, or
    /// none, ends whatever the port was doing.
    pub(crate) fn attach(&mut self, speed: Speed) -> bool {
        if self.attached == speed {
            return false;
        }
        self.attached = speed;
        self.stays_awake = 0;
        if self.state == State::Off {
            return false;
        }
        self.state = State::Disabled;
        self.change |= C_CONNECTION;
        true
    }

    pub(crate) fn attached(&self) -> Speed {
        self.attached
    }

    pub(crate) fn power_on(&mut self) {
        if self.state == State::Off {
            self.state = State::Disabled;
            if self.attached != Speed::None {
                self.change |= C_CONNECTION;
            }
        }
    }

    pub(crate) fn power_off(&mut self) {
        self.state = State::Off;
        self.change = 0;
    }

    pub(crate) fn disable(&mut self) {
        if self.state != State::Off {
            self.state = State::Disabled;
        }
    }

    pub(crate) fn reset(&mut self, now: Millis) {
        if self.state != State::Off {
            self.state = State::Resetting {
                until: now.saturating_add(RESET_TIME),
            };
        }
    }

    /// False: the device stays awake.
    pub(crate) fn suspend(&mut self, now: Millis) -> bool {
        if self.state == State::Enabled {
            if now < self.stays_awake {
                return false;
            }
            self.state = State::Suspended;
        }
        true
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.state == State::Suspended
    }

    /// The device has woken up: the resume is over when its news come. False: the
    /// port was not suspended, or not any more.
    pub(crate) fn wake(&mut self) -> bool {
        if self.state != State::Suspended {
            return false;
        }
        self.state = State::Enabled;
        self.change |= C_SUSPEND;
        true
    }

    /// The backend has refused to suspend the device.
    pub(crate) fn refuse(&mut self, now: Millis) -> bool {
        self.stays_awake = now.saturating_add(REFUSAL_TIME);
        self.wake()
    }

    pub(crate) fn resume(&mut self, now: Millis) {
        if self.state == State::Suspended {
            self.state = State::Resuming {
                until: now.saturating_add(RESUME_TIME),
            };
        }
    }

    pub(crate) fn clear_change(&mut self, bits: u16) {
        self.change &= !bits;
    }

    /// Ends what has lasted long enough.
    pub(crate) fn advance(&mut self, now: Millis) {
        match self.state {
            State::Resetting { until } if now >= until => {
                self.change |= C_RESET;
                self.state = if self.attached == Speed::None {
                    State::Disabled
                } else {
                    State::Enabled
                };
            }
            State::Resuming { until } if now >= until => {
                self.change |= C_SUSPEND;
                self.state = State::Enabled;
            }
            _ => {}
        }
    }

    /// wPortStatus.
    pub(crate) fn status(&self) -> u16 {
        let connected = match self.attached {
            Speed::None => 0,
            Speed::Low => CONNECTION | LOW_SPEED,
            Speed::Full => CONNECTION,
            // Found out by the reset.
            Speed::High => CONNECTION | HIGH_SPEED,
        };
        match self.state {
            State::Off => 0,
            State::Disabled => POWER | connected,
            State::Resetting { .. } => POWER | RESET | (connected & CONNECTION),
            State::Enabled => POWER | ENABLE | connected,
            State::Suspended | State::Resuming { .. } => POWER | ENABLE | SUSPEND | connected,
        }
    }

    /// wPortChange.
    pub(crate) fn change(&self) -> u16 {
        self.change
    }
}
