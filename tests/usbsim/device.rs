// SPDX-License-Identifier: GPL-2.0

//! What a simulated device is to the session that serves it.

use usbif::SetupPacket;

use crate::chapter9::Chapter9;
use crate::descriptor::Endpoint;

/// Speed of a device; the numbers are those of enum usb_device_speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// 1.5 Mbit/s.
    Low = 1,
    /// 12 Mbit/s.
    Full = 2,
    /// 480 Mbit/s.
    High = 3,
}

impl Speed {
    /// By the name that users type.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "low" => Some(Speed::Low),
            "full" => Some(Speed::Full),
            "high" => Some(Speed::High),
            _ => None,
        }
    }
}

/// What a device does with a transfer that has no time of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// IN: data, which may be longer than asked for, and is then babble.
    Send(Vec<u8>),
    /// OUT: everything was taken.
    Taken,
    /// NAK: asked again when something has happened to the device.
    Later,
    /// STALL.
    Stall,
    /// No handshake at all.
    Broken,
    /// More data than there is room for.
    Babble,
    /// The device is pulled out in the middle of this.
    Vanish,
}

/// A simulated device. Every call comes from one thread, in the bus's order.
pub trait Device: Send {
    /// Speed at which it is plugged.
    fn speed(&self) -> Speed;

    /// Its descriptors and what has been selected among them.
    fn chapter9(&mut self) -> &mut Chapter9;

    /// A control transfer. Standard requests are chapter 9's business.
    fn control(&mut self, setup: &SetupPacket, data: &[u8]) -> Answer {
        let answer = self.chapter9().request(setup);
        if setup.request_type() & 0x60 != 0 || answer.is_none() {
            return self.request(setup, data);
        }
        if selects(setup) {
            self.selected();
        }
        answer.unwrap_or(Answer::Stall)
    }

    /// A request that chapter 9 leaves to the class or the vendor.
    fn request(&mut self, _setup: &SetupPacket, _data: &[u8]) -> Answer {
        Answer::Stall
    }

    /// A configuration or an alternate setting has been selected.
    fn selected(&mut self) {}

    /// Data for a bulk or interrupt IN endpoint, at most `room` bytes.
    fn send(&mut self, _endpoint: Endpoint, _room: usize) -> Answer {
        Answer::Later
    }

    /// Data from the host for a bulk or interrupt OUT endpoint.
    fn take(&mut self, _endpoint: Endpoint, _data: &[u8]) -> Answer {
        Answer::Taken
    }

    /// Data for the isochronous IN packet whose slot has come.
    ///
    /// It is also called, and its data dropped, for slots that the host left
    /// unused: a real microphone does not wait either.
    fn send_packet(&mut self, _endpoint: Endpoint, _room: usize) -> Vec<u8> {
        Vec::new()
    }

    /// An isochronous OUT packet.
    fn take_packet(&mut self, _endpoint: Endpoint, _data: &[u8]) {}

    /// Something that a test asks of the device, and what it says to that.
    ///
    /// # Errors
    /// Why it cannot do that.
    fn command(&mut self, words: &[&str]) -> Result<String, String> {
        Err(format!("this device does not know {words:?}"))
    }
}

/// Whether a request selects a configuration or an alternate setting.
#[must_use]
pub fn selects(setup: &SetupPacket) -> bool {
    const SET_CONFIGURATION: u8 = 9;
    const SET_INTERFACE: u8 = 11;
    matches!(
        (setup.request_type(), setup.request()),
        (0, SET_CONFIGURATION) | (1, SET_INTERFACE)
    )
}
