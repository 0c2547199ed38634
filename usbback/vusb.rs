// SPDX-License-Identifier: GPL-2.0

//! The xenbus driver: one virtual host controller of a guest.
//!
//! It exists from `probe` to `remove`. Devices are attached to its ports whether
//! or not a frontend is connected; a frontend that connects finds them there.
//! Callbacks of xenbus run in xenwatch, which the whole kernel shares, so they
//! wait for nothing but XenStore and, to take back URBs, host controllers.

use crate::attachment::Attachment;
use crate::backend::{Backend, BACKEND};
use crate::connection::Connection;
use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::{aref::ARef, new_mutex, Arc, Mutex};
use kernel::workqueue::{impl_has_work, new_work, Work, WorkItem};
use usb::urb::Target;
use usbback_core::{
    next_move, Leave, Move, Origin, Other, Own, References, Target as Place, Version,
};
use usbif::{PortNumber, Speed, MAX_PORTS};
use xen::queue::{Class, WorkQueue};
use xen::ratelimit::RateLimit;
use xen::transaction::while_alive;
use xen::watch::{Handler, Watch};
use xen::xenbus::{self, Device, Side, State, Then};
use xen::xenstore::{path, Store};
use xen::{dev_fatal, DomId};

/// Places for a thing per port.
pub(crate) const PORTS: usize = MAX_PORTS as usize;

/// The xenbus driver.
pub(crate) struct VusbDriver;

/// What the driver core keeps for a device.
pub(crate) struct Bound {
    vusb: Arc<Vusb>,
    _watches: [Pin<KBox<Watch<Nodes>>>; 3],
}

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
    /// Our nodes in XenStore; whoever reads or writes several holds it.
    #[pin]
    pub(crate) control: Mutex<Control>,
    #[pin]
    link: Mutex<Link>,
    #[pin]
    work: Work<Vusb>,
}

/// What we have written.
pub(crate) struct Control {
    /// Nothing is to be written any more.
    pub(crate) gone: bool,
    /// What the `port-N` say; None: not written yet.
    pub(crate) told: [Option<Speed>; PORTS],
}

/// Who is linked to whom.
struct Link {
    /// No more attachments.
    gone: bool,
    attached: [Option<Arc<Attachment>>; PORTS],
    /// They have changed since a connection has looked.
    changed: bool,
    connection: Option<Arc<Connection>>,
}

impl_has_work! {
    impl HasWork<Self> for Vusb { self.work }
}

impl WorkItem for Vusb {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.control_now();
    }
}

/// Hears of changes in our nodes that others write.
struct Nodes(Arc<Vusb>);

impl Handler for Nodes {
    fn changed(&self) {
        self.0.control_soon();
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
            while_alive(dev, |store| store.write(nodename, c"usb-ver", c"2"))?;
        }
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
                control <- new_mutex!(Control {
                    gone: false,
                    told: [None; PORTS],
                }),
                link <- new_mutex!(Link {
                    gone: false,
                    attached: [const { None }; PORTS],
                    changed: false,
                    connection: None,
                }),
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

    fn control_now(&self) {
        let mut control = self.control.lock();
        if control.gone {
            return;
        }
        self.read_nodes();
        self.write_status(&mut control);
        self.check_online();
    }

    /// The toolstack wants the device to go, and there is no frontend that
    /// would close first: show it that nothing is held. It then removes the tree,
    /// and the core the device.
    fn check_online(&self) {
        if self.online() || self.own() == Own::Mapped {
            return;
        }
        let other = match Store::DIRECT.read_number(&self.otherend, c"state") {
            Ok(state) => other_of(State::from_raw(state)),
            Err(_) => Other::Gone,
        };
        if !matches!(other, Other::Starting | Other::Closed | Other::Gone) {
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

    fn own(&self) -> Own {
        if self.link.lock().connection.is_some() {
            Own::Mapped
        } else if self.dev.state() == State::InitWait {
            Own::Waiting
        } else {
            Own::Ended
        }
    }

    /// Puts a device on a port. False if the vusb is going.
    pub(crate) fn attach(self: &Arc<Self>, attached: &Arc<Attachment>) -> bool {
        {
            let mut link = self.link.lock();
            if link.gone {
                return false;
            }
            let Some(place) = link.attached.get_mut(attached.port.index()) else {
                return false;
            };
            *place = Some(attached.clone());
            link.changed = true;
        }
        self.ports_changed();
        true
    }

    /// Takes a device off its port, if it is on it.
    pub(crate) fn detach(self: &Arc<Self>, attached: &Attachment) {
        {
            let mut link = self.link.lock();
            match link.attached.get_mut(attached.port.index()) {
                Some(place)
                    if place
                        .as_ref()
                        .is_some_and(|on| core::ptr::eq(&**on, attached)) =>
                {
                    *place = None;
                }
                _ => return,
            }
            link.changed = true;
        }
        self.ports_changed();
    }

    fn ports_changed(self: &Arc<Self>) {
        if let Some(connection) = self.connection() {
            connection.look();
        }
        self.control_soon();
    }

    fn connection(&self) -> Option<Arc<Connection>> {
        self.link.lock().connection.clone()
    }

    /// What is on the ports, for a connection that looks; None: as it was.
    pub(crate) fn look_at_ports(&self, mut each: impl FnMut(usize, Option<&Arc<Attachment>>)) {
        let mut link = self.link.lock();
        if !core::mem::take(&mut link.changed) {
            return;
        }
        for (index, attached) in link.attached.iter().enumerate() {
            each(index, attached.as_ref());
        }
    }

    /// The speed of what is on a port.
    pub(crate) fn speed(&self, port: PortNumber) -> Speed {
        let link = self.link.lock();
        match link.attached.get(port.index()) {
            Some(Some(attached)) => attached.speed,
            _ => Speed::None,
        }
    }

    /// Takes back what is on its way to a device; its target is closed.
    pub(crate) fn kill_for(&self, target: &Arc<Target>) {
        if let Some(connection) = self.connection() {
            connection.kill_for(target);
        }
    }

    /// Reads what the frontend has published and maps it.
    fn connect(self: &Arc<Self>) -> Result {
        let number = |node: &CStr| {
            Store::DIRECT
                .read_optional_number(&self.otherend, node)
                .unwrap_or(None)
        };
        let references = References {
            urb_ring: number(c"urb-ring-ref"),
            conn_ring: number(c"conn-ring-ref"),
            ring: number(c"ring-ref"),
            event_channel: number(c"event-channel"),
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
        let connection = self.link.lock().connection.take();
        if let Some(connection) = connection {
            connection.close();
        }
    }

    /// After a frontend that cannot be talked to. Not from its data worker's
    /// inner lock.
    pub(crate) fn broken(&self, what: &str) {
        dev_fatal!(self.dev, EPROTO, "{what}");
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
            attached.target.close();
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
        for place in &places {
            if let Some(stand) = self.backend.standing(&place.busname) {
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

impl VusbDriver {
    fn bind(dev: &Device<kernel::device::Core<'_>>) -> Result<Bound> {
        let backend = BACKEND.get().ok_or(ENODEV)?;
        let vusb = Vusb::new(dev, backend.clone()).inspect_err(|error| {
            dev_fatal!(dev, *error, "its nodes make no sense");
        })?;
        backend.add_vusb(&vusb)?;
        let known = Known(&vusb);
        backend.domain_seen(vusb.domid);
        vusb.control_now();
        let nodes = Arc::new(Nodes(vusb.clone()), GFP_KERNEL)?;
        let watch = |node: &str| {
            let path = path(fmt!("{}/{}", dev.nodename(), node))?;
            KBox::pin_init(Watch::new(path, nodes.clone()), GFP_KERNEL)
        };
        let watches = [watch("port")?, watch("online")?, watch("state")?];
        for place in &backend
            .places(|rule, _| rule.target.domid == vusb.domid && rule.target.vusb == vusb.id)
        {
            place.look();
        }
        dev.switch_state(State::InitWait);
        core::mem::forget(known);
        Ok(Bound {
            vusb,
            _watches: watches,
        })
    }
}

/// Undoes the making known of a vusb whose probe fails.
struct Known<'a>(&'a Arc<Vusb>);

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.0.gone();
    }
}

impl xenbus::Driver for VusbDriver {
    type Data = Bound;

    const SIDE: Side = Side::Backend;
    const ID: &'static CStr = c"vusb";

    fn probe<'a>(
        dev: &'a Device<kernel::device::Core<'_>>,
    ) -> impl PinInit<Self::Data, Error> + 'a {
        Self::bind(dev)
    }

    fn otherend_changed(
        dev: &Device<kernel::device::Core<'_>>,
        data: Pin<&Self::Data>,
        state: State,
    ) -> Then {
        let vusb = &data.vusb;
        match next_move(other_of(state), vusb.own(), vusb.online()) {
            Move::Stay => {}
            Move::Connect => match vusb.connect() {
                Ok(()) => dev.switch_state(State::Connected),
                Err(error) => dev_fatal!(dev, error, "the frontend's rings cannot be used"),
            },
            Move::Close => dev.switch_state(State::Closing),
            Move::Restart => {
                vusb.disconnect();
                dev.switch_state(State::Closed);
                dev.switch_state(State::InitWait);
            }
            Move::End => {
                vusb.disconnect();
                dev.switch_state(State::Closed);
                return Then::Unregister;
            }
            Move::Vanish => {
                vusb.disconnect();
                return Then::Unregister;
            }
        }
        Then::Stay
    }

    fn remove(_dev: &Device<kernel::device::Core<'_>>, data: Pin<&Self::Data>) {
        data.vusb.gone();
    }
}
