// SPDX-License-Identifier: GPL-2.0

//! Connection events: a port's device has come, or gone; or, said again of the one
//! that is there, it wakes up (see [`Request::Suspend`](crate::Request::Suspend)).

use crate::bytes::{put, u16_at};
use crate::{PortNumber, Refused, CONN_ENTRY};

/// Speed of the device on a port (`XENUSB_SPEED_*`), which is also the value of
/// the backend's `port-N` node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// No device.
    None,
    /// 1.5 Mbit/s.
    Low,
    /// 12 Mbit/s.
    Full,
    /// 480 Mbit/s.
    High,
}

impl Speed {
    /// The speed of that number on the wire.
    #[must_use]
    pub const fn from_wire(speed: u8) -> Option<Self> {
        Some(match speed {
            0 => Self::None,
            1 => Self::Low,
            2 => Self::Full,
            3 => Self::High,
            _ => return None,
        })
    }

    /// Its number on the wire, 0..=3.
    #[must_use]
    pub const fn wire(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Low => 1,
            Self::Full => 2,
            Self::High => 3,
        }
    }
}

/// An event of the conn ring (`struct xenusb_conn_response`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnEvent {
    /// Id of the request that this event uses up.
    pub id: u16,
    /// Port.
    pub port: PortNumber,
    /// What is connected there now.
    pub speed: Speed,
}

impl ConnEvent {
    /// Checks an entry that was copied out of the ring.
    ///
    /// # Errors
    /// [`Refused`] for a port or a speed that does not exist.
    pub fn parse(entry: &[u8; CONN_ENTRY]) -> Result<Self, Refused> {
        let id = Self::request_id(entry);
        let refused = |reason| Refused { id, reason };
        let [_, _, port, speed] = *entry;
        Ok(Self {
            id,
            port: PortNumber::new(port).ok_or(refused("no such port"))?,
            speed: Speed::from_wire(speed).ok_or(refused("no such speed"))?,
        })
    }

    /// The bytes to put on the ring.
    #[must_use]
    pub fn encode(&self) -> [u8; CONN_ENTRY] {
        let [low, high] = self.id.to_le_bytes();
        [low, high, self.port.get(), self.speed.wire()]
    }

    /// Id of a request of the conn ring: all that it has.
    #[must_use]
    pub fn request_id(entry: &[u8; CONN_ENTRY]) -> u16 {
        u16_at(entry, 0)
    }

    /// A request of the conn ring: an entry that one event may use.
    #[must_use]
    pub fn request(id: u16) -> [u8; CONN_ENTRY] {
        let mut entry = [0; CONN_ENTRY];
        put(&mut entry, 0, &id.to_le_bytes());
        entry
    }
}
