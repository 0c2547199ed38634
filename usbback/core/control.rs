// SPDX-License-Identifier: GPL-2.0

//! What a control request to endpoint 0 means for the host.
//!
//! The host's USB core keeps a picture of the device: its address, its
//! configuration, altsettings, data toggles. A request that changes what is in
//! the picture has to go through the core; everything else goes to the device
//! as it is. The whole bmRequestType decides: 5 is SET_ADDRESS only as a
//! standard request to the device, FTDI's vendor request 5 is none.

use usbif::{Direction, SetupPacket, Status};

/// Standard request, to the device, without or with outgoing data.
const TO_DEVICE: u8 = 0x00;
const TO_INTERFACE: u8 = 0x01;
const TO_ENDPOINT: u8 = 0x02;

const CLEAR_FEATURE: u8 = 1;
const SET_FEATURE: u8 = 3;
const SET_ADDRESS: u8 = 5;
const SET_CONFIGURATION: u8 = 9;
const SET_INTERFACE: u8 = 11;

/// wValue of CLEAR_FEATURE for the halt of an endpoint.
const ENDPOINT_HALT: u16 = 0;
/// wValue of SET_FEATURE and CLEAR_FEATURE for a device that may wake its host.
const DEVICE_REMOTE_WAKEUP: u16 = 1;

/// What the host's USB core does in the device's stead. Takes the device lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A port reset.
    Reset,
    /// Choose a configuration; 0: none.
    SetConfiguration(u8),
    /// Choose an altsetting of an interface.
    SetInterface {
        /// bInterfaceNumber.
        interface: u8,
        /// bAlternateSetting.
        altsetting: u8,
    },
    /// Clear the halt of an endpoint and its data toggle.
    ClearHalt {
        /// Endpoint number, 1..=15.
        endpoint: u8,
        /// Its direction.
        direction: Direction,
    },
    /// Suspend the device.
    Suspend {
        /// It may wake up by itself.
        wakeup: bool,
    },
    /// Wake it, which every other operation does first.
    Resume,
}

impl Operation {
    /// Whether an endpoint other than 0 is another one afterwards, or begins anew. A reset
    /// counts, too: behind it may run what the device's guest has begun in an earlier
    /// connection.
    #[must_use]
    pub fn changes(self, number: u8, direction: Direction) -> bool {
        match self {
            Self::Reset | Self::SetConfiguration(_) | Self::SetInterface { .. } => true,
            Self::ClearHalt {
                endpoint,
                direction: way,
            } => (endpoint, way) == (number, direction),
            Self::Suspend { .. } | Self::Resume => false,
        }
    }
}

/// What a request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The device has a new address as far as the guest knows, 0..=127. The
    /// device itself never hears of it: its address is the host's.
    SetAddress(u8),
    /// The core has to do it.
    Core(Operation),
    /// The device answers for itself.
    Device,
    /// No device would accept it.
    Answer(Status),
}

impl Meaning {
    /// Reads a request to endpoint 0.
    #[must_use]
    pub fn of(setup: &SetupPacket) -> Self {
        let value = setup.value();
        let index = setup.index();
        match (setup.request_type(), setup.request()) {
            // Malformed ones must not reach the device either: it might obey.
            (TO_DEVICE, SET_ADDRESS) => match u8::try_from(value) {
                Ok(address @ 0..=127) if index == 0 && setup.length() == 0 => {
                    Self::SetAddress(address)
                }
                _ => Self::Answer(Status::Stall),
            },
            (TO_DEVICE, SET_CONFIGURATION) => match u8::try_from(value) {
                Ok(value) if index == 0 && setup.length() == 0 => {
                    Self::Core(Operation::SetConfiguration(value))
                }
                _ => Self::Answer(Status::Stall),
            },
            (TO_INTERFACE, SET_INTERFACE) => match (u8::try_from(index), u8::try_from(value)) {
                (Ok(interface), Ok(altsetting)) if setup.length() == 0 => {
                    Self::Core(Operation::SetInterface {
                        interface,
                        altsetting,
                    })
                }
                _ => Self::Answer(Status::Stall),
            },
            (TO_ENDPOINT, CLEAR_FEATURE) if value == ENDPOINT_HALT => match u8::try_from(index) {
                // Endpoint 0 has no toggle to lose and clears itself.
                Ok(0 | 0x80) => Self::Device,
                Ok(address) if address & 0x70 == 0 && setup.length() == 0 => {
                    Self::Core(Operation::ClearHalt {
                        endpoint: address & 0x0f,
                        direction: if address & 0x80 == 0 {
                            Direction::Out
                        } else {
                            Direction::In
                        },
                    })
                }
                _ => Self::Answer(Status::Stall),
            },
            _ => Self::Device,
        }
    }
}

/// Whether a request lets the device wake its host, or forbids it. It goes to the
/// device as it is; the host's core has to know too when it suspends the device.
#[must_use]
pub fn remote_wakeup(setup: &SetupPacket) -> Option<bool> {
    let exact = setup.value() == DEVICE_REMOTE_WAKEUP && setup.index() == 0 && setup.length() == 0;
    match (setup.request_type(), setup.request()) {
        (TO_DEVICE, SET_FEATURE) if exact => Some(true),
        (TO_DEVICE, CLEAR_FEATURE) if exact => Some(false),
        _ => None,
    }
}
