// SPDX-License-Identifier: GPL-2.0

//! Which nodes a frontend has published: usbif.h's or those of 2009.

/// The references found in the frontend's directory, as far as they are numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// `urb-ring-ref`.
    pub urb_ring: Option<u32>,
    /// `conn-ring-ref`.
    pub conn_ring: Option<u32>,
    /// `ring-ref`.
    pub ring: Option<u32>,
    /// `event-channel`.
    pub event_channel: Option<u32>,
}

/// How to talk to a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Two rings; connections are announced on the second.
    Usbif {
        /// Grant of the urb ring.
        urb_ring: u32,
        /// Grant of the conn ring.
        conn_ring: u32,
        /// Event channel of both.
        event_channel: u32,
    },
    /// One ring; connections are announced by `port-N` alone.
    Old {
        /// Grant of the urb ring.
        ring: u32,
        /// Its event channel.
        event_channel: u32,
    },
}

/// The node that is missing or is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete(pub &'static str);

impl References {
    /// Chooses the dialect: usbif's if there is an
    /// `urb-ring-ref`, else that of 2009.
    ///
    /// # Errors
    /// [`Incomplete`] if a node that the dialect needs is not there.
    pub fn dialect(&self) -> Result<Dialect, Incomplete> {
        let event_channel = self.event_channel.ok_or(Incomplete("event-channel"))?;
        match (self.urb_ring, self.conn_ring, self.ring) {
            (Some(urb_ring), Some(conn_ring), _) => Ok(Dialect::Usbif {
                urb_ring,
                conn_ring,
                event_channel,
            }),
            (Some(_), None, _) => Err(Incomplete("conn-ring-ref")),
            (None, _, Some(ring)) => Ok(Dialect::Old {
                ring,
                event_channel,
            }),
            (None, _, None) => Err(Incomplete("urb-ring-ref")),
        }
    }
}
