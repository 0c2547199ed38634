// SPDX-License-Identifier: GPL-2.0

//! One virtual host controller of a guest.
//!
//! It exists while its xenbus device is bound to the driver. Devices are attached
//! to its ports whether or not a frontend is connected; a frontend that connects
//! finds them there.

pub(crate) mod driver;
mod ports;

use crate::attachment::Attachment;
use crate::backend::Backend;
use crate::connection::Connection;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::{
    aref::ARef,
    atomic::{AtomicFlag, Relaxed},
    new_mutex, Arc, Mutex,
};
use kernel::time::{delay::fsleep, Delta};
use kernel::workqueue::{impl_has_work, new_work, Work, WorkItem};
use usbback_core::{Leave, Origin, Other, Own, References, Target as Place, Version};
use usbif::{Speed, Statistics, MAX_INDIRECT, MAX_PORTS};
use xen::patience::wait;
use xen::queue::{Class, WorkQueue};
use xen::ratelimit::RateLimit;
use xen::xenbus::{Device, State};
use xen::xenstore::Store;
use xen::{dev_fatal, DomId};

/// Places for a thing per port.
pub(crate) const PORTS: usize = MAX_PORTS as usize;

/// How long a frontend may take to close when its backend is unbound. One that lives needs a
/// fraction of it.
const PARTING: Delta = Delta::from_secs(5);
/// Between two attempts to write a node that could not be written: nothing tells when it can.
const AGAIN: Delta = Delta::from_millis(200);

/// A virtual host controller.
#[pin_data]
pub(crate) struct Vusb {
    pub(crate) domid: DomId,
    /// Its number within its guest.
    pub(crate) id: u16,
    /// Ports of its root hub.
    pub(crate) ports: u8,
    pub(crate) version: Version,
    pub(crate) dev: ARef<Device>,
    pub(crate) backend: Arc<Backend>,
    /// The frontend's directory.
    otherend: CString,
    /// The data worker.
    pub(crate) queue: Arc<WorkQueue>,
    /// Of what the guest can cause to be logged.
    #[pin]
    pub(crate) limit: RateLimit,
    /// A frontend was refused, or has broken the rules.
    distrusted: AtomicFlag,
    /// Of the connections from then on: each that fails makes us, and the
    /// kernel's mapping of rings, write to the log.
    #[pin]
    attempts: RateLimit,
    /// Our nodes in XenStore; whoever reads or writes several holds it.
    #[pin]
    pub(crate) control: Mutex<Control>,
    #[pin]
    link: Mutex<Link>,
    /// What the data worker has counted for the last frontend that connected.
    #[pin]
    statistics: Mutex<Statistics>,
    #[pin]
    work: Work<Vusb>,
}

/// What we have written.
pub(crate) struct Control {
    /// Nothing is to be written any more.
    pub(crate) gone: bool,
    /// What the `port-N` say; None: not written yet.
    pub(crate) told: [Option<Speed>; PORTS],
    /// That one cannot be written has been said.
    pub(crate) complained: bool,
}

/// Who is linked to whom.
struct Link {
    /// No more attachments.
    gone: bool,
    attached: [Option<Arc<Attachment>>; PORTS],
    /// They have changed since a connection has looked, or one has woken up.
    changed: bool,
    connection: Option<Arc<Connection>>,
}

impl_has_work! {
    impl HasWork<Self> for Vusb { self.work }
}

impl WorkItem for Vusb {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        if !this.control_now() {
            fsleep(AGAIN);
            this.control_soon();
        }
    }
}

impl Vusb {
    fn new(dev: &Device<kernel::device::Core<'_>>, backend: Arc<Backend>) -> Result<Arc<Self>> {
        let domid = dev.otherend_id();
        let id = u16::try_from(dev.id()?).map_err(|_| EINVAL)?;
        let nodename = dev.nodename();
        let ports = Store::DIRECT.read_number(nodename, c"num-ports")?;
        let ports = u8::try_from(ports)
            .ok()
            .filter(|ports| (1..=MAX_PORTS).contains(ports))
            .ok_or(EINVAL)?;
        let version = Store::DIRECT.read_optional_number(nodename, c"usb-ver")?;
        if version.is_none() {
            // The C frontend does not start without it.
            dev.while_alive(|store| store.write(nodename, c"usb-ver", c"2"))?;
        }
        // What a frontend of ours may send.
        dev.while_alive(|store| {
            store.write_number(nodename, c"feature-indirect-segments", MAX_INDIRECT as u32)?;
            store.write_number(nodename, c"feature-port-suspend", 1)
        })?;
        let version = Version::new(version.unwrap_or(2)).ok_or(EINVAL)?;
        let name = CString::try_from_fmt(fmt!("vusb-{domid}.{id}"))?;
        let queue = Arc::new(WorkQueue::new(&name, Class::Data)?, GFP_KERNEL)?;
        let otherend = dev.otherend()?;
        let plain: &Device = dev;
        let dev: ARef<Device> = plain.into();
        Arc::pin_init(
            pin_init!(Self {
                domid,
                id,
                ports,
                version,
                dev,
                backend,
                otherend,
                queue,
                limit <- RateLimit::new(),
                distrusted: AtomicFlag::new(false),
                attempts <- RateLimit::new(),
                control <- new_mutex!(Control {
                    gone: false,
                    told: [None; PORTS],
                    complained: false,
                }),
                link <- new_mutex!(Link {
                    gone: false,
                    attached: [const { None }; PORTS],
                    changed: false,
                    connection: None,
                }),
                statistics <- new_mutex!(Statistics::default()),
                work <- new_work!("usbback::vusb"),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether this is the controller that a rule means.
    pub(crate) fn serves(&self, target: &Place) -> bool {
        self.domid == target.domid && self.id == target.vusb && !self.link.lock().gone
    }

    /// Has our nodes looked at, and those that are ours to write written.
    pub(crate) fn control_soon(self: &Arc<Self>) {
        self.backend.queue.enqueue(self);
    }

    /// False: it has to be done again.
    fn control_now(&self) -> bool {
        let mut control = self.control.lock();
        if control.gone {
            return true;
        }
        self.read_nodes();
        let written = self.write_status(&mut control);
        self.check_online();
        written
    }

    /// The toolstack wants the device to go, and there is no frontend that
    /// would close first: show it that nothing is held. It then removes the tree,
    /// and the core the device.
    fn check_online(&self) {
        if self.online() || self.own() == Own::Mapped {
            return;
        }
        if !matches!(self.other(), Other::Starting | Other::Closed | Other::Gone) {
            return;
        }
        let shown = Store::DIRECT.read_number(self.dev.nodename(), c"state");
        if shown == Ok(State::Closed.as_raw()) {
            return;
        }
        // The toolstack asks by writing Closing over our state, perhaps over
        // Closed, and the core does not show the same state twice.
        self.dev.switch_state(State::Closing);
        self.dev.switch_state(State::Closed);
    }

    fn online(&self) -> bool {
        !matches!(
            Store::DIRECT.read_optional_number(self.dev.nodename(), c"online"),
            Ok(Some(0))
        )
    }

    /// What the frontend shows now.
    fn other(&self) -> Other {
        match Store::DIRECT.read_number(&self.otherend, c"state") {
            Ok(state) => other_of(State::from_raw(state)),
            Err(_) => Other::Gone,
        }
    }

    fn own(&self) -> Own {
        if self.link.lock().connection.is_some() {
            Own::Mapped
        } else if self.dev.state() == State::InitWait {
            Own::Waiting
        } else {
            Own::Ended
        }
    }

    /// Whether a connection may be tried now.
    fn admits(&self) -> bool {
        !self.distrusted.load(Relaxed) || self.attempts.allows()
    }

    /// Reads what the frontend has published and maps it.
    fn connect(self: &Arc<Self>) -> Result {
        let number = |node: &CStr| {
            let number = Store::DIRECT.read_optional_number(&self.otherend, node);
            match number {
                // No number is as good as none.
                Err(EINVAL) => Ok(None),
                number => number,
            }
        };
        let references = References {
            urb_ring: number(c"urb-ring-ref")?,
            conn_ring: number(c"conn-ring-ref")?,
            ring: number(c"ring-ref")?,
            event_channel: number(c"event-channel")?,
        };
        let dialect = references.dialect().map_err(|missing| {
            pr_err!(
                "domain {}, vusb {}: the frontend has no {}\n",
                self.domid,
                self.id,
                missing.0
            );
            EINVAL
        })?;
        let connection = Connection::new(self.clone(), &dialect)?;
        {
            let mut link = self.link.lock();
            link.connection = Some(connection.clone());
            link.changed = true;
        }
        connection.look();
        Ok(())
    }

    fn disconnect(&self) {
        let connection = self.link.lock().connection.clone();
        if let Some(connection) = connection {
            // Until nothing of it is on its way, whoever waits for that finds it.
            connection.close();
        }
        let closed = self.link.lock().connection.take();
        drop(closed);
    }

    /// Shows what has been counted.
    pub(crate) fn count(&self, statistics: &Statistics) {
        *self.statistics.lock() = *statistics;
    }

    /// Ends a frontend that cannot be talked to. Not from its data worker's
    /// inner lock.
    pub(crate) fn broken(&self, error: Error, what: &str) {
        self.distrusted.store(true, Relaxed);
        dev_fatal!(self.dev, error, "{what}");
    }

    /// The driver is unbound under a frontend: has it close, and serves it until it has, for
    /// the C frontend waits for every answer, in a thread that its whole kernel shares. Ours
    /// does not.
    fn part(&self) {
        if self.own() != Own::Mapped || self.distrusted.load(Relaxed) || !self.dev.alive() {
            return;
        }
        self.dev.switch_state(State::Closing);
        wait(PARTING, || {
            !matches!(self.other(), Other::Ready | Other::Closing)
        });
    }

    /// Everything ends.
    fn gone(self: &Arc<Self>) {
        self.disconnect();
        let attached = {
            let mut link = self.link.lock();
            link.gone = true;
            link.changed = true;
            core::mem::replace(&mut link.attached, [const { None }; PORTS])
        };
        for attached in attached.into_iter().flatten() {
            attached.target.end();
        }
        {
            let mut control = self.control.lock();
            // When the driver was unbound and the tree still stands.
            self.write_status(&mut control);
            control.gone = true;
        }
        self.backend.remove_vusb(self);
        let alive = self.dev.alive();
        let places = self
            .backend
            .places(|rule, _| rule.target.domid == self.domid && rule.target.vusb == self.id);
        for place in places {
            if let Some(stand) = self.backend.standing(&place) {
                // The node is gone, so is its rule.
                if !alive && stand.standing == Ok(Origin::XenStore) {
                    self.backend.end_rule(&stand.rule, Leave::Reserved);
                }
            }
            place.look();
        }
        self.backend.sweep_soon();
        self.queue.close();
    }
}

fn other_of(state: State) -> Other {
    match state {
        State::Unknown => Other::Gone,
        State::Initialising | State::InitWait | State::Reconfiguring | State::Reconfigured => {
            Other::Starting
        }
        State::Initialised | State::Connected => Other::Ready,
        State::Closing => Other::Closing,
        State::Closed => Other::Closed,
    }
}
