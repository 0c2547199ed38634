// SPDX-License-Identifier: GPL-2.0

//! Which devices the wire can carry.

use usbif::Speed;

/// What `usb-ver` says: the newest USB that the guest's controller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1: low and full speed.
    Usb1,
    /// 2: high speed too. Also what an absent node means.
    Usb2,
}

impl Version {
    /// The version of that number.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Usb1),
            2 => Some(Self::Usb2),
            _ => None,
        }
    }
}

/// A device's speed as the host found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSpeed {
    /// Not known.
    Unknown,
    /// 1.5 Mbit/s.
    Low,
    /// 12 Mbit/s.
    Full,
    /// 480 Mbit/s.
    High,
    /// 5 Gbit/s and more.
    Super,
}

/// Why a device cannot go to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is a hub: what is plugged into it has places of its own.
    Hub,
    /// It runs at a speed that the wire does not have.
    SuperSpeed,
    /// It runs at high speed and the guest's controller is a USB 1 one.
    HighSpeed,
    /// The host does not know its speed.
    UnknownSpeed,
}

impl Unfit {
    /// The sentence for the log.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Hub => "it is a hub; write rules for the ports of the hub instead",
            Self::SuperSpeed => "it runs at SuperSpeed, which PVUSB cannot carry; use a USB 2 port",
            Self::HighSpeed => {
                "it runs at high speed and the guest's controller has usb-ver 1; use usb-ver 2"
            }
            Self::UnknownSpeed => "its speed is not known",
        }
    }
}

/// Whether a device can go to a guest, and with which speed it is announced.
/// `version` is that of the guest's controller, if it exists already.
///
/// # Errors
/// [`Unfit`], with the reason.
pub const fn unfit(hub: bool, speed: HostSpeed, version: Option<Version>) -> Result<Speed, Unfit> {
    if hub {
        return Err(Unfit::Hub);
    }
    match (speed, version) {
        (HostSpeed::Low, _) => Ok(Speed::Low),
        (HostSpeed::Full, _) => Ok(Speed::Full),
        (HostSpeed::High, Some(Version::Usb1)) => Err(Unfit::HighSpeed),
        (HostSpeed::High, _) => Ok(Speed::High),
        (HostSpeed::Super, _) => Err(Unfit::SuperSpeed),
        (HostSpeed::Unknown, _) => Err(Unfit::UnknownSpeed),
    }
}
