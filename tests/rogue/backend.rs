// SPDX-License-Identifier: GPL-2.0

//! The backend of one vusb: its nodes and the handshake, as an honest backend and
//! its toolstack do it.

mod attack;
mod command;
mod device;
mod link;
mod session;

#[cfg(test)]
pub(crate) use attack::{find, ATTACKS};
pub(crate) use command::{run, usage, Options};

use crate::frontend::state;
use crate::xen::event::Channel;
use crate::xen::foreign::Foreign;
use crate::xen::store::Store;
use crate::xen::DomId;
use crate::Result;
use link::Link;
use std::cell::Cell;
use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest wait for the frontend's next state. An emulated guest is slow.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 60 });
/// The domain that this runs in, dom0.
const BACKEND: DomId = 0;
/// Ports of the root hub.
const PORTS: u8 = 8;

/// One vusb of a guest.
pub(crate) struct Vusb {
    store: Store,
    guest: DomId,
    front: String,
    back: String,
    /// How often a frontend was invited to connect.
    invited: Cell<u64>,
}

impl Vusb {
    /// Nothing is made yet. The backend's nodes are where QEMU's would be, so that
    /// dom0's own backend leaves them alone and can serve other vusbs.
    pub(crate) fn open(guest: DomId, number: u16) -> Result<Self> {
        Ok(Self {
            store: Store::open()?,
            guest,
            front: format!("/local/domain/{guest}/device/vusb/{number}"),
            back: format!("/local/domain/{BACKEND}/backend/qusb/{guest}/{number}"),
            invited: Cell::new(0),
        })
    }

    /// Removes what there is, and makes it anew, all but the backend's state.
    pub(crate) fn make(&self) -> Result<()> {
        self.remove()?;
        for (directory, owner, reader) in [
            (&self.front, self.guest, BACKEND),
            (&self.back, BACKEND, self.guest),
        ] {
            self.store.write(directory, "")?;
            self.store.give(directory, owner, reader)?;
        }
        self.store
            .write(&format!("{}/backend-id", self.front), BACKEND)?;
        self.store
            .write(&format!("{}/backend", self.front), &self.back)?;
        self.write("frontend-id", self.guest)?;
        self.write("frontend", &self.front)?;
        self.write("num-ports", PORTS)?;
        self.write("feature-indirect-segments", usbif::MAX_INDIRECT)?;
        // Last, because a frontend looks at a directory with a state only.
        self.store
            .write(&format!("{}/state", self.front), state::INITIALISING)
    }

    /// Removes both directories: to the frontend its backend is dead.
    pub(crate) fn remove(&self) -> Result<()> {
        self.store.remove(&self.front)?;
        self.store.remove(&self.back)
    }

    /// Path of a node of the backend's directory.
    pub(crate) fn node(&self, name: &str) -> String {
        format!("{}/{name}", self.back)
    }

    pub(crate) fn write(&self, node: &str, value: impl Display) -> Result<()> {
        self.store.write(&self.node(node), value)
    }

    /// Writes any bytes, or removes the node.
    pub(crate) fn write_any(&self, node: &str, value: Option<&[u8]>) -> Result<()> {
        match value {
            Some(bytes) => Ok(self.store.write_bytes(&self.node(node), bytes)?),
            None => self.store.remove(&self.node(node)),
        }
    }

    /// Shows a state.
    pub(crate) fn show(&self, state: u32) -> Result<()> {
        if state == state::INIT_WAIT {
            self.invited.set(self.invited.get() + 1);
        }
        self.write("state", state)
    }

    /// A number that the frontend shows.
    fn shown(&self, node: &str) -> Result<Option<u32>> {
        let value = self.store.read(&format!("{}/{node}", self.front))?;
        Ok(value.and_then(|value| value.parse().ok()))
    }

    /// Whether the frontend takes itself for connected.
    pub(crate) fn is_connected(&self) -> Result<bool> {
        Ok(self.shown("state")? == Some(state::CONNECTED))
    }

    /// Waits for one of these states of the frontend; returns which.
    pub(crate) fn wait_frontend(&self, states: &[u32]) -> Result<u32> {
        self.wait_frontend_for(states, PATIENCE)
    }

    /// As [`Self::wait_frontend`], with another limit.
    pub(crate) fn wait_frontend_for(&self, states: &[u32], limit: Duration) -> Result<u32> {
        let start = Instant::now();
        loop {
            let state = self.shown("state")?.unwrap_or(0);
            if states.contains(&state) {
                return Ok(state);
            }
            if start.elapsed() > limit {
                return Err(
                    format!("the frontend is in state {state}, not in one of {states:?}").into(),
                );
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the frontend has published its rings.
    pub(crate) fn wait_rings(&self) -> Result<()> {
        self.wait_frontend(&[state::CONNECTED])?;
        Ok(())
    }

    /// Maps the rings, and binds the event channel.
    pub(crate) fn map(&self) -> Result<Link> {
        let number = |node| -> Result<u32> {
            let value = self.shown(node)?;
            Ok(value.ok_or_else(|| format!("the frontend has no {node}"))?)
        };
        let foreign = Foreign::open(self.guest)?;
        Link::new(
            foreign.page(number("urb-ring-ref")?)?,
            foreign.page(number("conn-ring-ref")?)?,
            Channel::bind(self.guest, number("event-channel")?)?,
            foreign,
        )
    }
}
