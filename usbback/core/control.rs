// SPDX-License-Identifier: GPL-2.0

//! What a control request to endpoint 0 means for the host.
//!
//! The host's USB core keeps a picture of the device: its address, its
//! configuration, altsettings, data toggles. A request that changes what is in
//! the picture has to go through the core; everything else goes to the device
//! as it is. 5 is SET_ADDRESS as a standard request only, FTDI's vendor request 5 is none.
//!
//! How a device reads a request that is not quite what the specification says is its own
//! affair: some look at bRequest alone (`dwc3_ep0_std_request()`). So a standard request
//! of such a number does what it says, to whom it is for, or does not reach the device.
//! Where no data follows, the direction in bmRequestType says nothing (USB 2.0, 9.3.1).

use usbif::{Direction, SetupPacket, Status};

/// Of bmRequestType: the type, which is 0 for standard requests.
const TYPE: u8 = 0x60;
/// Of bmRequestType: who it is for.
const RECIPIENT: u8 = 0x1f;
const TO_DEVICE: u8 = 0;
const TO_INTERFACE: u8 = 1;
const TO_ENDPOINT: u8 = 2;

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
        let Some(recipient) = recipient(setup) else {
            return Self::Device;
        };
        let value = setup.value();
        let index = setup.index();
        let bare = setup.length() == 0;
        match (setup.request(), recipient) {
            (SET_ADDRESS, TO_DEVICE) if bare && index == 0 => match u8::try_from(value) {
                Ok(address @ 0..=127) => Self::SetAddress(address),
                _ => Self::Answer(Status::Stall),
            },
            (SET_CONFIGURATION, TO_DEVICE) if bare && index == 0 => match u8::try_from(value) {
                Ok(value) => Self::Core(Operation::SetConfiguration(value)),
                Err(_) => Self::Answer(Status::Stall),
            },
            (SET_INTERFACE, TO_INTERFACE) if bare => {
                match (u8::try_from(index), u8::try_from(value)) {
                    (Ok(interface), Ok(altsetting)) => Self::Core(Operation::SetInterface {
                        interface,
                        altsetting,
                    }),
                    _ => Self::Answer(Status::Stall),
                }
            }
            (SET_ADDRESS | SET_CONFIGURATION | SET_INTERFACE, _) => Self::Answer(Status::Stall),
            (CLEAR_FEATURE, TO_ENDPOINT) if value == ENDPOINT_HALT => match u8::try_from(index) {
                // Endpoint 0 has no toggle to lose and clears itself.
                Ok(0 | 0x80) => Self::Device,
                Ok(address) if address & 0x70 == 0 && bare => Self::Core(Operation::ClearHalt {
                    endpoint: address & 0x0f,
                    direction: if address & 0x80 == 0 {
                        Direction::Out
                    } else {
                        Direction::In
                    },
                }),
                _ => Self::Answer(Status::Stall),
            },
            _ => Self::Device,
        }
    }
}

/// Who a standard request is for; `None`: it is no standard request.
fn recipient(setup: &SetupPacket) -> Option<u8> {
    let request_type = setup.request_type();
    (request_type & TYPE == 0).then_some(request_type & RECIPIENT)
}

/// Whether a request lets the device wake its host, or forbids it. It goes to the
/// device as it is; the host's core has to know too when it suspends the device.
#[must_use]
pub fn remote_wakeup(setup: &SetupPacket) -> Option<bool> {
    let exact = setup.value() == DEVICE_REMOTE_WAKEUP && setup.index() == 0 && setup.length() == 0;
    match (setup.request(), recipient(setup)) {
        (SET_FEATURE, Some(TO_DEVICE)) if exact => Some(true),
        (CLEAR_FEATURE, Some(TO_DEVICE)) if exact => Some(false),
        _ => None,
    }
}
