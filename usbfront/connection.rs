// SPDX-License-Identifier: GPL-2.0

//! What exists while a frontend is connected: rings, pages, an event channel,
//! a host controller. Made whole or not at all, and taken down in order.

use crate::{
    controller::{Controller, Events, Watchdog},
    frontend::Frontend,
    kept::Kept,
    memory::Memory,
    state::{Link, State},
};
use kernel::{fmt::Write, prelude::*, sync::Arc};
use ring::FrontRing;
use usb::hcd::Hcd;
use usbfront_core::{RootHub, UsbVersion};
use usbif::{ConnEvent, Statistics, MAX_INDIRECT};
use xen::{
    evtchn::EventChannel,
    queue::{Class, WorkQueue},
    ring_page::RingPage,
    timer::Timer,
    xenbus::{Device, Text},
    xenstore::Store,
};

/// A connection to a backend.
pub(crate) struct Connection {
    controller: Arc<Controller>,
    // Dropped by `close` only.
    hcd: Option<Hcd<Controller>>,
    queue: Arc<WorkQueue>,
    release_queue: Arc<WorkQueue>,
    settings: Settings,
}

/// What the nodes say.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Settings {
    ports: u32,
    version: UsbVersion,
    trusted: bool,
    /// The backend takes requests of as many segments as we make.
    indirect: bool,
    /// The backend suspends devices, and says when one wakes up.
    suspend: bool,
    /// The backend is QEMU's. A request that fails makes it take back those that it has
    /// queued behind it at the same endpoint, of which it (11.1) dies. And it maps the pages of
    /// a transfer, and would have those of a process's until it lets go, whatever becomes
    /// of the transfer: so it gets bounce pages only.
    is_qemu: bool,
}

impl Settings {
    fn read(dev: &Device, backend: &CStr) -> Result<Self> {
        let store = Store::DIRECT;
        let version = store.read_optional_number(backend, c"usb-ver")?;
        let trusted = store.read_optional_number(dev.nodename(), c"trusted")?;
        let segments = store.read_optional_number(backend, c"feature-indirect-segments")?;
        let suspend = store.read_optional_number(backend, c"feature-port-suspend")?;
        let is_qemu = is_qemu(&store, backend)?;
        Ok(Self {
            ports: store.read_number(backend, c"num-ports")?,
            version: UsbVersion::from_node(version).ok_or(EINVAL)?,
            trusted: crate::trusted() && trusted != Some(0) && !is_qemu,
            indirect: segments.is_some_and(|most| most as usize >= MAX_INDIRECT),
            suspend: suspend == Some(1),
            is_qemu,
        })
    }

    fn hub(&self) -> Result<KBox<RootHub>> {
        let ports = u8::try_from(self.ports).map_err(|_| EINVAL)?;
        let hub = RootHub::new(ports, self.version).ok_or(EINVAL)?;
        let mut hub = KBox::new(hub, GFP_KERNEL)?;
        hub.carry_suspend(self.suspend);
        Ok(hub)
    }
}

/// Whether the toolstack has made the backend's directory for QEMU.
fn is_qemu(store: &Store<'_>, backend: &CStr) -> Result<bool> {
    match store.read::<8>(backend, c"type") {
        Ok(text) => Ok(text.as_bytes() == b"qusb"),
        Err(ENOENT | E2BIG) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Connection {
    /// Makes a connection and publishes it; the backend may use it at once.
    /// `None`: our nodes are gone, so there is nobody to connect to.
    ///
    /// # Errors
    ///
    /// `EINVAL` or `ENOENT` the backend's nodes make no sense, `ENOMEM`,
    /// `ENOSPC` no more grants.
    #[inline(never)] // For the sake of the stack.
    pub(crate) fn open(frontend: &Arc<Frontend>, backend: &CStr) -> Result<Option<Self>> {
        let dev = frontend.device();
        let settings = Settings::read(dev, backend)?;
        let queue = Arc::new(WorkQueue::new(c"xen-hcd", Class::Soft)?, GFP_KERNEL)?;
        let state = State::new(
            settings.hub()?,
            settings.trusted,
            settings.indirect,
            settings.is_qemu,
        )?;
        let release_queue = WorkQueue::new(c"xen-hcd-release", Class::Ordered)?;
        let release_queue = Arc::new(release_queue, GFP_KERNEL)?;
        let controller = Controller::new(
            state,
            settings.suspend,
            queue.clone(),
            release_queue.clone(),
            frontend.clone(),
        )?;
        let usb20 = settings.version == UsbVersion::Usb20;
        let mut hcd = Hcd::new(dev.as_ref(), usb20, controller.clone())?;
        hcd.add()?;
        let mut this = Self {
            controller,
            hcd: Some(hcd),
            queue,
            release_queue,
            settings,
        };
        match this.publish(dev) {
            Ok(true) => Ok(Some(this)),
            Ok(false) => {
                this.close(Ending::AtOnce);
                Ok(None)
            }
            Err(error) => {
                this.close(Ending::AtOnce);
                Err(error)
            }
        }
    }

    /// After this domain has been restored elsewhere the rings lead nowhere: gives all
    /// back, and lets go of them.
    pub(crate) fn cut(&self) {
        drop(self.controller.close());
    }

    /// Publishes new rings for the same controller, to the backend that there is now. The
    /// core has to look whether the devices are the same.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]. `EINVAL` also if the backend wants another controller.
    pub(crate) fn reopen(&self, frontend: &Arc<Frontend>, backend: &CStr) -> Result<bool> {
        let dev = frontend.device();
        if Settings::read(dev, backend)? != self.settings {
            return Err(EINVAL);
        }
        if let Some(hcd) = &self.hcd {
            hcd.lost_power();
        }
        self.publish(dev)
    }

    /// Makes rings and all that belongs to them, and publishes them. False: our nodes are
    /// gone.
    fn publish(&self, dev: &Device) -> Result<bool> {
        let Some(hcd) = &self.hcd else {
            return Ok(false);
        };
        let urb_page = RingPage::new(dev)?;
        let conn_page = RingPage::new(dev)?;
        let memory = Memory::new(dev)?;
        let events = Arc::new(Events(self.controller.clone()), GFP_KERNEL)?;
        let channel = EventChannel::allocate(dev, c"xen-hcd", events)?;
        let watchdog = Arc::new(Watchdog(self.controller.clone()), GFP_KERNEL)?;
        let watchdog = KBox::pin_init(Timer::new(self.queue.clone(), watchdog), GFP_KERNEL)?;
        let (urb_ref, conn_ref) = (urb_page.reference(), conn_page.reference());
        let port = channel.port();
        let mut conn_ring = FrontRing::new(conn_page);
        // Every entry may carry one event.
        for id in 0..u16::MAX {
            if conn_ring.push(&ConnEvent::request(id)).is_err() {
                break;
            }
        }
        // The backend is not there yet to be notified; it looks when it comes.
        let _ = conn_ring.publish();
        self.controller.open(Link {
            urb_ring: FrontRing::new(urb_page),
            conn_ring,
            memory,
            unanswered: false,
            channel,
            watchdog,
            handle: hcd.handle(),
        });
        let published = dev.while_alive(|store| {
            let nodes = dev.nodename();
            store.write_number(nodes, c"urb-ring-ref", urb_ref)?;
            // The same, by its name of 2009.
            store.write_number(nodes, c"ring-ref", urb_ref)?;
            store.write_number(nodes, c"conn-ring-ref", conn_ref)?;
            store.write_number(nodes, c"event-channel", port)
        })?;
        if published {
            dev_info!(
                dev.as_ref(),
                "USB bus {}: {} ports, backend in domain {}\n",
                hcd.bus_number(),
                self.settings.ports,
                dev.otherend_id()
            );
        }
        Ok(published)
    }

    /// What has been counted since the connection was made.
    pub(crate) fn statistics(&self) -> Statistics {
        self.controller.statistics()
    }

    /// Writes what the `statistics` file of 2009 says.
    pub(crate) fn show(&self, dev: &Device, text: &mut Text<'_>) -> kernel::fmt::Result {
        let bus = self.hcd.as_ref().map_or(0, Hcd::bus_number);
        let Statistics {
            submitted,
            completed,
            errors,
            unlinked,
            ring_full,
            ..
        } = self.statistics();
        writeln!(text, "bus {bus}, backend in domain {}", dev.otherend_id())?;
        writeln!(text, "submit {submitted} complete {completed} error {errors} unlink {unlinked} ring_full {ring_full}")
    }

    /// Takes the connection down. Returns its pages if the backend has not let go of them:
    /// mostly of the rings, until it has seen that we have. Sleeps.
    pub(crate) fn close(&mut self, ending: Ending) -> Option<Kept> {
        match ending {
            Ending::Orderly => self.controller.leave(),
            Ending::AtOnce => self.controller.shut_down(),
        }
        // Disconnects the devices: their drivers unlink what they have. A
        // backend that works answers, one that does not is given up by the
        // watchdog.
        self.hcd = None;
        let link = self.controller.close();
        self.queue.close();
        self.release_queue.close();
        // Without the lock, which the event channel's handler and the timer's may want.
        // And last: what ran until now may have had a handle, and the last one that goes
        // frees the host controller, which sleeps.
        let Link {
            urb_ring,
            conn_ring,
            mut memory,
            unanswered,
            ..
        } = link?;
        if unanswered {
            // Once more: what the backend was just copying looked as if it were mapped.
            memory.abandon();
        }
        let rings = [urb_ring.into_page(), conn_ring.into_page()];
        let mut kept = Kept::new(rings, memory, unanswered);
        (!kept.end()).then_some(kept)
    }
}

/// How a connection is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The backend works: it answers everything first.
    Orderly,
    /// The backend does not, or wants to end: everything is given back unanswered.
    AtOnce,
}
