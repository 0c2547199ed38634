// SPDX-License-Identifier: GPL-2.0

//! One physical port: what the rule wants, done step by step.
//!
//! `usbback_core::next_step` decides from what is seen; here is how to look and
//! how to do it. Whoever changes something that matters has the place looked at
//! (`look`), and the place's work settles what there is to settle. `turn` is for
//! who works on the place, one at a time, and may be held for as long as the
//! device takes; `inner` is what callbacks of the USB core may touch meanwhile.

use crate::attachment::Attachment;
use crate::backend::{Backend, Standing};
use crate::operation::Pending;
use crate::Show;
use kernel::prelude::*;
use kernel::sync::{aref::ARef, new_mutex, Arc, Mutex};
use kernel::workqueue::{impl_has_work, new_work, Work, WorkItem};
use usb::device::{Device, Speed as UsbSpeed};
use usb::interface::Interface;
use usb::lock::LockedDevice;
use usb::port::HubPort;
use usbback_core as core_;
use usbback_core::{next_step, unfit, BusName, HostSpeed, Interfaces, Leave, Origin, Step, View};

/// Most steps in a row; a device that changes all the time comes up again.
const STEPS: usize = 32;

/// A physical port.
#[pin_data]
pub(crate) struct Place {
    pub(crate) busname: BusName,
    pub(crate) backend: Arc<Backend>,
    #[pin]
    turn: Mutex<()>,
    #[pin]
    pub(crate) inner: Mutex<Inner>,
    #[pin]
    work: Work<Place>,
}

/// What callbacks see.
pub(crate) struct Inner {
    /// Our ownership of the port.
    port: Option<HubPort>,
    /// The device whose interfaces we have.
    held: Option<Held>,
    /// The guest's port that it is on.
    pub(crate) attached: Option<Arc<Attachment>>,
    /// What the guest wants the USB core to do.
    pub(crate) pending: Option<Pending>,
    /// An operation of our own runs on the held device: interfaces that are
    /// taken from us meanwhile are not taken by others.
    pub(crate) own: bool,
    /// Hands off, until the device or the rule changes.
    pub(crate) parked: bool,
    /// A guest has had a device here since the port was reserved.
    tainted: bool,
    /// A device has been pulled out since anybody looked.
    unplugged: bool,
    /// What is there has been complained about.
    complained: Option<ARef<Device>>,
    /// Why nothing happens has been said.
    said: bool,
}

/// A device of which we have interfaces.
struct Held {
    device: ARef<Device>,
    interfaces: Interfaces,
    /// We have bound them, not the toolstack.
    claimed: bool,
    /// A guest has had it.
    used: bool,
}

impl_has_work! {
    impl HasWork<Self> for Place { self.work }
}

impl WorkItem for Place {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.settle_now();
    }
}

/// Whether two references are the same device.
pub(crate) fn same(a: &Device, b: &Device) -> bool {
    core::ptr::eq(a, b)
}

pub(crate) fn host_speed(device: &Device) -> HostSpeed {
    match device.speed() {
        UsbSpeed::Unknown => HostSpeed::Unknown,
        UsbSpeed::Low => HostSpeed::Low,
        UsbSpeed::Full => HostSpeed::Full,
        UsbSpeed::High => HostSpeed::High,
        UsbSpeed::Super => HostSpeed::Super,
    }
}

impl Place {
    pub(crate) fn new(backend: Arc<Backend>, busname: BusName) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                busname,
                backend,
                turn <- new_mutex!(()),
                inner <- new_mutex!(Inner {
                    port: None,
                    held: None,
                    attached: None,
                    pending: None,
                    own: false,
                    parked: false,
                    tainted: false,
                    unplugged: false,
                    complained: None,
                    said: false,
                }),
                work <- new_work!("usbback::place"),
            }),
            GFP_KERNEL,
        )
    }

    /// Has the place looked at soon. From any context that may take `table`.
    pub(crate) fn look(self: &Arc<Self>) {
        self.backend.queue.enqueue(self);
    }

    /// The same, and what was given up is tried again.
    pub(crate) fn retry(self: &Arc<Self>) {
        self.inner.lock().parked = false;
        self.look();
    }

    /// A device here has been pulled out.
    pub(crate) fn unplugged(self: &Arc<Self>) {
        self.inner.lock().unplugged = true;
        self.look();
    }

    /// The claimed interfaces.
    pub(crate) fn interfaces(&self) -> Interfaces {
        let inner = self.inner.lock();
        inner
            .held
            .as_ref()
            .map_or_else(Interfaces::default, |held| held.interfaces)
    }

    /// Does what there is to do. Not from a callback of the USB core.
    pub(crate) fn settle_now(self: &Arc<Self>) {
        let _turn = self.turn.lock();
        for _ in 0..STEPS {
            if self.run_pending() {
                continue;
            }
            self.drop_stale();
            if !self.step() {
                return;
            }
        }
        self.look();
    }

    /// Before a rule of the administrator is accepted: the port can be had, and
    /// no driver of the host uses the device.
    ///
    /// # Errors
    ///
    /// `EBUSY`, after saying who does.
    pub(crate) fn check_free(&self) -> Result {
        let _turn = self.turn.lock();
        self.inner.lock().parked = false;
        match self.reserve() {
            // Nothing is there, or the hub has fewer ports: it may change.
            Ok(()) | Err(ENODEV | EINVAL) => {}
            Err(error) => {
                pr_err!(
                    "{}: the port is reserved by somebody else\n",
                    Show(&self.busname)
                );
                return Err(error);
            }
        }
        let Some(device) = Device::find(self.busname.as_bytes()) else {
            return Ok(());
        };
        let lock = device.lock();
        let mut result = Ok(());
        for interface in lock.interfaces() {
            if lock.is_bound_to(interface, &self.backend.driver) {
                continue;
            }
            if let Some(driver) = lock.driver_name(interface) {
                dev_err!(
                    device.as_ref(),
                    "interface {} is bound to {}, which has to let it go first\n",
                    interface.name(),
                    driver
                );
                result = Err(EBUSY);
            }
        }
        if result.is_err() {
            if let Err(why) = unfit(device.is_hub(), host_speed(&device), None) {
                dev_err!(device.as_ref(), "not for a guest: {}\n", why.reason());
            }
        }
        result
    }

    /// Gives the port up, for a rule that was not accepted.
    pub(crate) fn let_go(&self) {
        let _turn = self.turn.lock();
        self.unreserve();
    }

    /// Owns the port; nothing to do if we do.
    fn reserve(&self) -> Result {
        if self
            .inner
            .lock()
            .port
            .as_ref()
            .is_some_and(HubPort::is_held)
        {
            return Ok(());
        }
        let port = HubPort::claim(self.busname.as_bytes())?;
        self.put_port(port);
        Ok(())
    }

    /// The same, for a hub that has just appeared and whose lock is held.
    pub(crate) fn reserve_on(&self, hub: &LockedDevice<'_>, port: u8) {
        let stand = self.backend.standing(&self.busname);
        let wanted = match stand.map(|stand| stand.standing) {
            Some(Ok(_)) => true,
            Some(Err(Leave::Reserved)) => self.inner.lock().tainted,
            Some(Err(Leave::ToHost)) | None => false,
        };
        if !wanted {
            return;
        }
        match HubPort::claim_on(hub, port) {
            Ok(port) => self.put_port(port),
            Err(error) => dev_warn!(
                hub.as_ref(),
                "port {} cannot be reserved ({})\n",
                port,
                error.to_errno()
            ),
        }
    }

    fn put_port(&self, port: HubPort) {
        // An old one is of a hub that is gone: dropping it takes no lock.
        let old = self.inner.lock().port.replace(port);
        drop(old);
    }

    fn unreserve(&self) {
        // Dropped outside of `inner`: that takes the hub's lock.
        let port = self.inner.lock().port.take();
        drop(port);
    }

    /// Forgets a device that is not there any more.
    fn drop_stale(self: &Arc<Self>) {
        let present = Device::find(self.busname.as_bytes());
        let attached = {
            let mut inner = self.inner.lock();
            let stays = |device: &Device| {
                device.is_attached() && present.as_ref().is_some_and(|found| same(found, device))
            };
            if inner.complained.as_ref().is_some_and(|old| !stays(old)) {
                inner.complained = None;
            }
            let held = inner.held.as_ref().is_some_and(|held| !stays(&held.device));
            let attached = inner
                .attached
                .as_ref()
                .is_some_and(|attached| !stays(attached.target.device()));
            if !held && !attached && !inner.unplugged {
                return;
            }
            inner.parked = false;
            inner.unplugged = false;
            if held {
                inner.held = None;
            }
            if attached {
                inner.attached.take()
            } else {
                None
            }
        };
        if let Some(attached) = attached {
            attached.withdraw();
        }
        self.lost();
    }

    /// A guest's device has been pulled out, or is dead. What the toolstack has
    /// assigned is not assigned any more: a node that names a device that is not
    /// there would make all its later work fail.
    fn lost(self: &Arc<Self>) {
        let Some(stand) = self.backend.standing(&self.busname) else {
            return;
        };
        if stand.standing != Ok(Origin::XenStore) {
            return;
        }
        let ended = match self.backend.vusb(&stand.rule.target) {
            Some(vusb) => vusb.unassign(&stand.rule),
            None => self.backend.end_rule(&stand.rule, Leave::Reserved),
        };
        if !ended {
            return;
        }
        pr_info!(
            "{}: the device of domain {} is gone, and its assignment with it\n",
            Show(&self.busname),
            stand.rule.target.domid
        );
    }

    /// One step. False: there is nothing more to do.
    fn step(self: &Arc<Self>) -> bool {
        let Some(stand) = self.backend.standing(&self.busname) else {
            // Forgotten: nothing of ours may be left.
            self.unreserve();
            return false;
        };
        let device = Device::find(self.busname.as_bytes());
        let mut lock = device.as_ref().map(|device| device.lock());
        let view = self.view(&stand, lock.as_deref());
        let step = next_step(&view);
        let done = match (step, lock.as_deref_mut()) {
            (Step::Configure, Some(device)) => self.configure(device),
            (Step::Claim, Some(device)) => self.claim(device),
            (Step::Attach, Some(device)) => return self.attach(&stand, device),
            (Step::Release, Some(device)) => {
                self.release(device);
                Ok(())
            }
            (Step::Unconfigure, Some(device)) => self.owned(|| device.set_configuration(None)),
            (Step::Offer, Some(device)) => self.offer(device),
            (Step::Detach, _) => {
                self.withdraw();
                Ok(())
            }
            _ => {
                drop(lock);
                return match step {
                    Step::Reserve => match self.reserve() {
                        Ok(()) => true,
                        Err(ENODEV) => false,
                        Err(error) => {
                            pr_warn!(
                                "{}: the port cannot be reserved ({})\n",
                                Show(&self.busname),
                                error.to_errno()
                            );
                            false
                        }
                    },
                    Step::Unreserve => {
                        self.unreserve();
                        true
                    }
                    Step::Forget => {
                        if self.backend.forget(&self.busname) {
                            self.unreserve();
                        }
                        // A new rule may have come in between.
                        self.backend.standing(&self.busname).is_some()
                    }
                    _ => {
                        self.complain(&stand, &view, device.as_deref());
                        false
                    }
                };
            }
        };
        if let Err(error) = done {
            if let Some(device) = &device {
                dev_err!(
                    (**device).as_ref(),
                    "not for a guest now: it cannot be set up ({})\n",
                    error.to_errno()
                );
            }
            self.inner.lock().parked = true;
        }
        true
    }

    fn view(&self, stand: &Standing, device: Option<&LockedDevice<'_>>) -> View {
        let seen = device.map_or(core_::Device::Absent, |device| self.see(stand, device));
        let inner = self.inner.lock();
        View {
            rule: stand.standing,
            reserved: inner.port.as_ref().is_some_and(HubPort::is_held),
            tainted: inner.tainted,
            // The wrong port, or one that is no more, is no reason to keep the
            // device on it.
            parked: inner.parked
                || inner.attached.as_ref().is_some_and(|attached| {
                    stand.standing.is_ok() && !attached.vusb.serves(&stand.rule.target)
                }),
            attached: inner.attached.is_some(),
            holding: inner
                .held
                .as_ref()
                .is_some_and(|held| !held.interfaces.is_empty()),
            claimed: inner.held.as_ref().is_some_and(|held| held.claimed),
            device: seen,
        }
    }

    fn see(&self, stand: &Standing, device: &LockedDevice<'_>) -> core_::Device {
        if !device.is_attached() {
            return core_::Device::Absent;
        }
        let configured = device.active_configuration().is_some();
        let version = self
            .backend
            .vusb(&stand.rule.target)
            .map(|vusb| vusb.version);
        if let Err(why) = unfit(device.is_hub(), host_speed(device), version) {
            return core_::Device::Unfit { why, configured };
        }
        if !configured {
            return if device.is_authorized() {
                core_::Device::Unconfigured
            } else {
                core_::Device::Unauthorized
            };
        }
        let mut ours = true;
        for interface in device.interfaces() {
            if device.is_bound_to(interface, &self.backend.driver) {
                continue;
            }
            ours = false;
            if device.driver_name(interface).is_some() {
                return core_::Device::Host;
            }
        }
        if ours {
            core_::Device::Ours
        } else {
            core_::Device::Free
        }
    }

    /// Says once why a device does not go to its guest, or why the port is kept.
    fn complain(&self, stand: &Standing, view: &View, device: Option<&Device>) {
        if view.rule == Err(Leave::Reserved) && view.reserved {
            let said = core::mem::replace(&mut self.inner.lock().said, true);
            if !said {
                pr_info!(
                    "{}: the port stays reserved, because a guest has used the device on it; \
                     write {} to remove_vport to give it to this domain\n",
                    Show(&self.busname),
                    Show(&stand.rule)
                );
            }
            return;
        }
        self.inner.lock().said = false;
        let (Some(device), Ok(_)) = (device, view.rule) else {
            return;
        };
        let why = match view.device {
            core_::Device::Unfit { why, .. } => why.reason(),
            core_::Device::Unauthorized => "it is not authorized",
            core_::Device::Host if view.rule == Ok(Origin::Sysfs) => {
                "a driver of this domain uses it"
            }
            _ => return,
        };
        let mut inner = self.inner.lock();
        if inner.complained.is_none() {
            inner.complained = Some(device.into());
            drop(inner);
            dev_err!(device.as_ref(), "not for a guest: {}\n", why);
        }
    }

    /// Runs an operation of our own on the device: what it unbinds is not taken
    /// by others.
    pub(crate) fn owned<T>(&self, operation: impl FnOnce() -> T) -> T {
        self.inner.lock().own = true;
        let result = operation();
        self.inner.lock().own = false;
        result
    }

    fn configure(&self, device: &mut LockedDevice<'_>) -> Result {
        let value = device.preferred_configuration().ok_or(ENODEV)?;
        self.owned(|| device.set_configuration(Some(value)))?;
        if device.active_configuration().is_none() {
            return Err(EIO);
        }
        Ok(())
    }

    /// Binds every interface of the active configuration.
    pub(crate) fn claim(&self, device: &mut LockedDevice<'_>) -> Result {
        let configuration = device.active_configuration().ok_or(ENODEV)?;
        let mut wanted = Interfaces::default();
        for interface in device.interfaces() {
            if !device.is_bound_to(interface, &self.backend.driver) {
                wanted.insert(configuration, interface.number());
            }
        }
        for number in wanted.iter() {
            device.claim_interface(&self.backend.driver, number)?;
            self.hold(device, configuration, number, true);
        }
        Ok(())
    }

    /// An interface is ours.
    fn hold(&self, device: &Device, configuration: u8, number: u8, claimed: bool) {
        let mut inner = self.inner.lock();
        match &mut inner.held {
            Some(held) if same(&held.device, device) => {
                held.interfaces.insert(configuration, number);
            }
            _ => {
                let mut interfaces = Interfaces::default();
                interfaces.insert(configuration, number);
                inner.held = Some(Held {
                    device: device.into(),
                    interfaces,
                    claimed,
                    used: false,
                });
            }
        }
    }

    /// Unbinds what we have.
    fn release(&self, device: &mut LockedDevice<'_>) {
        let interfaces = self.interfaces();
        self.owned(|| {
            for number in interfaces.iter() {
                device.release_interface(&self.backend.driver, number);
            }
        });
        // Those that are no more, or were rebound, are not ours either.
        let mut inner = self.inner.lock();
        if let Some(held) = &mut inner.held {
            held.interfaces = Interfaces::default();
            // Whoever bound them, the host's drivers are not back yet.
            held.claimed = true;
        }
    }

    /// Gives the device to the host's drivers: as if plugged in anew.
    fn offer(&self, device: &mut LockedDevice<'_>) -> Result {
        let tainted = self.inner.lock().tainted;
        self.owned(|| {
            if tainted {
                // What the guest has made of it ends here. If it comes back as
                // something else, the USB core enumerates it again.
                device.reset()?;
            }
            let value = device
                .active_configuration()
                .or_else(|| device.preferred_configuration());
            device.set_configuration(value)
        })?;
        self.inner.lock().held = None;
        Ok(())
    }

    /// Puts the device on the guest's port. False if that has to wait.
    fn attach(self: &Arc<Self>, stand: &Standing, device: &LockedDevice<'_>) -> bool {
        let Some(vusb) = self.backend.vusb(&stand.rule.target) else {
            return false;
        };
        let port = stand.rule.target.port;
        if port.get() > vusb.ports {
            pr_warn!(
                "{}: that vusb has {} ports\n",
                Show(&stand.rule),
                vusb.ports
            );
            return false;
        }
        let Ok(speed) = unfit(device.is_hub(), host_speed(device), Some(vusb.version)) else {
            return true;
        };
        let used = {
            let inner = self.inner.lock();
            inner
                .held
                .as_ref()
                .is_some_and(|held| held.used && same(&held.device, device))
        };
        let attached = Attachment::new(self.clone(), device, speed, vusb.clone(), port, used);
        let Ok(attached) = attached else {
            return false;
        };
        {
            let mut inner = self.inner.lock();
            inner.tainted = true;
            if let Some(held) = &mut inner.held {
                held.used = true;
            }
            inner.attached = Some(attached.clone());
        }
        if !vusb.attach(&attached) {
            self.inner.lock().attached = None;
            return false;
        }
        let (vendor, product) = device.ids();
        dev_info!(
            (**device).as_ref(),
            "{:04x}:{:04x} goes to domain {}, vusb {}, port {}\n",
            vendor,
            product,
            vusb.domid,
            vusb.id,
            port.get()
        );
        true
    }

    /// Takes the device off the guest's port.
    pub(crate) fn withdraw(&self) {
        let attached = self.inner.lock().attached.take();
        if let Some(attached) = attached {
            attached.withdraw();
            pr_info!(
                "{}: taken from domain {}, vusb {}, port {}\n",
                Show(&self.busname),
                attached.vusb.domid,
                attached.vusb.id,
                attached.port.get()
            );
        }
    }

    /// The guest's device does not work any more.
    pub(crate) fn dead(self: &Arc<Self>) {
        self.withdraw();
        self.inner.lock().parked = true;
        self.lost();
    }

    /// Somebody has bound an interface to us. With the device lock held.
    pub(crate) fn bound(self: &Arc<Self>, device: &LockedDevice<'_>, interface: &Interface) {
        let Some(configuration) = device.active_configuration() else {
            return;
        };
        let stale = {
            let mut inner = self.inner.lock();
            inner.parked = false;
            match &inner.held {
                Some(held) if !same(&held.device, device) => inner.attached.take(),
                _ => None,
            }
        };
        if let Some(stale) = stale {
            stale.withdraw();
        }
        self.hold(device, configuration, interface.number(), false);
        self.look();
    }

    /// An interface is not ours any more. With the device lock held.
    pub(crate) fn unbound(self: &Arc<Self>, device: &LockedDevice<'_>, interface: &Interface) {
        let (attached, port) = {
            let mut inner = self.inner.lock();
            let own = inner.own && device.is_attached();
            let Some(held) = &mut inner.held else {
                return;
            };
            if !same(&held.device, device) {
                return;
            }
            held.interfaces.remove(interface.number());
            if own {
                return;
            }
            let by_hand = device.is_attached();
            // The toolstack binds the host's driver next.
            let give_up = by_hand && !held.claimed;
            inner.parked = by_hand;
            let port = if give_up { inner.port.take() } else { None };
            (inner.attached.take(), port)
        };
        if let Some(attached) = attached {
            attached.withdraw();
        }
        if let Some(Err(port)) = port.map(|port| port.release_under(device)) {
            self.put_port(port);
        }
        self.look();
    }

    /// The guest's port that a device is on.
    pub(crate) fn attachment_of(&self, device: &Device) -> Option<Arc<Attachment>> {
        let inner = self.inner.lock();
        inner
            .attached
            .as_ref()
            .filter(|attached| same(attached.target.device(), device))
            .cloned()
    }
}
