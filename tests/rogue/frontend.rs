// SPDX-License-Identifier: GPL-2.0

//! The frontend of one vusb: the handshake, as an honest driver does it.

pub(crate) mod connection;
pub(crate) mod device;
pub(crate) mod stick;

use crate::xen::event::Channel;
use crate::xen::grant::{Access, Grants, Page};
use crate::xen::store::Store;
use crate::xen::DomId;
use crate::Result;
use connection::Connection;
use ring::SharedPage;
use std::cell::Cell;
use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};
use usbif::PortNumber;

/// Longest wait for the backend's next state. An emulated dom0 is slow.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 60 });
/// Once its frontend has misbehaved, the backend takes ten connections in five
/// seconds. An honest one tries so often, this far apart.
const ATTEMPTS: usize = 10;
const APART: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });

/// States of a xenbus device (io/xenbus.h).
pub(crate) mod state {
    pub(crate) const INITIALISING: u32 = 1;
    pub(crate) const INIT_WAIT: u32 = 2;
    pub(crate) const INITIALISED: u32 = 3;
    pub(crate) const CONNECTED: u32 = 4;
    pub(crate) const CLOSING: u32 = 5;
    pub(crate) const CLOSED: u32 = 6;
}

/// Where a ring's page has the producers (struct sring of io/ring.h).
pub(crate) const REQ_PROD: usize = 0;
pub(crate) const RSP_PROD: usize = 8;

/// The nodes that name rings and channel.
pub(crate) const NODES: [&str; 4] = ["urb-ring-ref", "conn-ring-ref", "ring-ref", "event-channel"];

/// One vusb of this guest.
pub(crate) struct Vusb {
    pub(crate) store: Store,
    pub(crate) grants: Grants,
    /// The backend's domain.
    backend: DomId,
    front: String,
    back: String,
    /// How often rings were offered.
    offers: Cell<u64>,
}

impl Vusb {
    pub(crate) fn open(number: u16) -> Result<Self> {
        let store = Store::open()?;
        let front = format!("device/vusb/{number}");
        let node = |name| -> Result<String> {
            let value = store.read(&format!("{front}/{name}"))?;
            Ok(value.ok_or_else(|| format!("there is no such vusb, or it has no {name}"))?)
        };
        let backend = node("backend-id")?.parse()?;
        let back = node("backend")?;
        Ok(Self {
            store,
            grants: Grants::open()?,
            backend,
            front,
            back,
            offers: Cell::new(0),
        })
    }

    /// A page granted to the backend.
    pub(crate) fn page(&self, access: Access) -> Result<Page> {
        self.grants.page(self.backend, access)
    }

    /// Pages that the backend may read and write.
    pub(crate) fn pages(&self, count: usize) -> Result<Vec<Page>> {
        (0..count).map(|_| self.page(Access::ReadWrite)).collect()
    }

    /// Path of a node of the frontend's directory.
    pub(crate) fn node(&self, name: &str) -> String {
        format!("{}/{name}", self.front)
    }

    /// The frontend's directory.
    pub(crate) fn directory(&self) -> &str {
        &self.front
    }

    pub(crate) fn write(&self, node: &str, value: impl Display) -> Result<()> {
        self.store.write(&self.node(node), value)
    }

    /// Shows a state.
    pub(crate) fn show(&self, state: u32) -> Result<()> {
        self.write("state", state)
    }

    /// The backend's state; 0 if it shows none.
    pub(crate) fn backend_state(&self) -> Result<u32> {
        let state = self.store.read(&format!("{}/state", self.back))?;
        Ok(state.and_then(|state| state.parse().ok()).unwrap_or(0))
    }

    /// Waits for one of these states of the backend; returns which.
    pub(crate) fn wait_backend(&self, states: &[u32]) -> Result<u32> {
        let start = Instant::now();
        loop {
            let state = self.backend_state()?;
            if states.contains(&state) {
                return Ok(state);
            }
            if start.elapsed() > PATIENCE {
                return Err(
                    format!("the backend is in state {state}, not in one of {states:?}").into(),
                );
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Ends whatever there is, so that the backend waits for a frontend. What
    /// was shown before has then been dealt with.
    pub(crate) fn settle(&self) -> Result<()> {
        self.show(state::CLOSING)?;
        self.wait_backend(&[state::CLOSING])?;
        self.show(state::CLOSED)?;
        self.wait_backend(&[state::INIT_WAIT])?;
        for node in NODES {
            self.store.remove(&self.node(node))?;
        }
        Ok(())
    }

    /// Writes the nodes of a connection.
    pub(crate) fn publish(&self, connection: &Connection) -> Result<()> {
        self.write("urb-ring-ref", connection.urb_page().gref())?;
        self.write("conn-ring-ref", connection.conn_page().gref())?;
        self.write("event-channel", connection.channel.port())
    }

    /// The same as a frontend of 2009 does it: nobody knows of a conn ring.
    pub(crate) fn publish_old(&self, connection: &Connection) -> Result<()> {
        self.write("ring-ref", connection.urb_page().gref())?;
        self.write("event-channel", connection.channel.port())
    }

    /// Waits until the backend's `port-N` tells of a device on a port.
    pub(crate) fn wait_port(&self, port: PortNumber) -> Result<()> {
        let node = format!("{}/port-{}", self.back, port.get());
        let start = Instant::now();
        loop {
            let status = self.store.read(&node)?;
            if matches!(status.as_deref(), Some("1" | "2" | "3")) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("port-{} is {status:?}", port.get()).into());
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Shows that rings are there.
    pub(crate) fn propose(&self) -> Result<()> {
        self.offers.set(self.offers.get() + 1);
        self.show(state::INITIALISED)
    }

    /// How often that was since the last time somebody asked.
    pub(crate) fn take_offers(&self) -> u64 {
        self.offers.take()
    }

    /// Shows that rings are there; true if the backend takes them.
    pub(crate) fn offer(&self) -> Result<bool> {
        self.propose()?;
        Ok(self.wait_backend(&[state::CONNECTED, state::CLOSING])? == state::CONNECTED)
    }

    /// Rings that nobody knows yet.
    pub(crate) fn rings(&self) -> Result<Connection> {
        Ok(Connection::new(
            self.page(Access::ReadWrite)?,
            self.page(Access::ReadWrite)?,
            Channel::allocate(self.backend)?,
        ))
    }

    /// Waits long enough for the backend to look at the next connection, instead
    /// of refusing it unseen.
    pub(crate) fn pace(&self) {
        sleep(APART / 2);
    }

    /// Connects as an honest frontend does, whatever was before.
    pub(crate) fn connect(&self) -> Result<Connection> {
        self.connect_with(Self::publish)
    }

    /// The same with an urb ring that has been in use for so many requests.
    pub(crate) fn connect_at(&self, start: u32) -> Result<Connection> {
        self.connect_with(|vusb, connection| {
            connection.urb_page().store(REQ_PROD, start);
            connection.urb_page().store(RSP_PROD, start);
            vusb.publish(connection)
        })
    }

    /// Connects as an honest frontend of 2009 does.
    pub(crate) fn connect_old(&self) -> Result<Connection> {
        self.connect_with(Self::publish_old)
    }

    fn connect_with(
        &self,
        publish: impl Fn(&Self, &Connection) -> Result<()>,
    ) -> Result<Connection> {
        for _ in 0..ATTEMPTS {
            self.settle()?;
            let mut connection = self.rings()?;
            connection.offer_events()?;
            publish(self, &connection)?;
            self.show(state::INITIALISING)?;
            if self.offer()? {
                self.show(state::CONNECTED)?;
                return Ok(connection);
            }
            sleep(APART);
        }
        Err("the backend refuses an honest frontend".into())
    }
}
