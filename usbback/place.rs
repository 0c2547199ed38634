// SPDX-License-Identifier: GPL-2.0

//! One physical port: what the rule wants, done step by step.
//!
//! `usbback_core::next_step` decides from what is seen; here is how to look and
//! how to do it. Whoever changes something that matters has the place looked at
//! (`look`), and the place's work settles what there is to settle. `turn` is for
//! who works on the place, one at a time, and may be held for as long as the
//! device takes; `inner` is what callbacks of the USB core may touch meanwhile.

mod guest_port;
mod interfaces;
mod reservation;

use crate::attachment::Attachment;
use crate::backend::{Backend, Standing};
use crate::operation::Pending;
use crate::Show;
use kernel::prelude::*;
use kernel::sync::{aref::ARef, new_mutex, Arc, Mutex};
use kernel::time::{delay::fsleep, Delta};
use kernel::workqueue::{impl_has_work, new_work, Work, WorkItem};
use usb::device::{Device, Speed as UsbSpeed};
use usb::lock::LockedDevice;
use usb::port::{HubPort, Owner};
use usbback_core as core_;
use usbback_core::{next_step, unfit, BusName, HostSpeed, Interfaces, Leave, Origin, Step, View};
use xen::patience::patiently;

/// Most steps in a row; a device that changes all the time comes up again.
const STEPS: usize = 32;
/// Between two looks at a device that is not authorized: nothing tells when it is, for
/// it gets no configuration on a port of ours (`usb_authorize_device()`).
const AGAIN: Delta = Delta::from_secs(1);

/// A physical port.
#[pin_data]
pub(crate) struct Place {
    pub(crate) busname: BusName,
    pub(crate) backend: Arc<Backend>,
    #[pin]
    turn: Mutex<()>,
    #[pin]
    pub(crate) inner: Mutex<Inner>,
    /// Of the ports in `inner`, which go first.
    owner: Owner,
    #[pin]
    work: Work<Place>,
}

/// What callbacks see.
pub(crate) struct Inner {
    /// Our ownership of the port.
    port: Option<HubPort>,
    /// The other half of the connector.
    peer: Peer,
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
    /// A guest has had a device here since the port was reserved, and none was renewed.
    tainted: bool,
    /// A device has been pulled out since anybody looked.
    unplugged: bool,
    /// What is there has been complained about.
    complained: Option<ARef<Device>>,
    /// Why nothing happens has been said.
    said: bool,
    /// What is there is a guest's once somebody authorizes it.
    unauthorized: bool,
}

/// The port on the other speed's half of the hub that shares the connector.
enum Peer {
    /// Not ours, or there is none.
    Unknown,
    Reserved(HubPort),
    /// Somebody else has it, which has been said.
    Refused,
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

impl Inner {
    /// Whether we own the port.
    fn has_port(&self) -> bool {
        self.port.as_ref().is_some_and(HubPort::is_held)
    }

    /// What we have of a device, if anything.
    fn held_of(&mut self, device: &Device) -> Option<&mut Held> {
        self.held.as_mut().filter(|held| same(&held.device, device))
    }
}

impl_has_work! {
    impl HasWork<Self> for Place { self.work }
}

impl WorkItem for Place {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.settle_now();
        if this.inner.lock().unauthorized {
            fsleep(AGAIN);
            this.look();
        }
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
        let owner = Owner::new()?;
        Arc::pin_init(
            pin_init!(Self {
                busname,
                backend,
                owner,
                turn <- new_mutex!(()),
                inner <- new_mutex!(Inner {
                    port: None,
                    peer: Peer::Unknown,
                    held: None,
                    attached: None,
                    pending: None,
                    own: false,
                    parked: false,
                    tainted: false,
                    unplugged: false,
                    complained: None,
                    said: false,
                    unauthorized: false,
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
            self.drop_stale();
            if self.step() {
                continue;
            }
            // A guest may want any number of operations: before each of them we look whether
            // the device is still to be the guest's, and others get their turn.
            if self.run_pending() {
                break;
            }
            return;
        }
        self.look();
    }

    /// One step. False: there is nothing more to do.
    fn step(self: &Arc<Self>) -> bool {
        let Some(stand) = self.backend.standing(self) else {
            // Forgotten: nothing of ours may be left.
            self.inner.lock().unauthorized = false;
            self.unreserve();
            return false;
        };
        self.follow_with_peer();
        let device = Device::find(self.busname.as_bytes());
        let mut lock = device.as_ref().map(|device| device.lock());
        let view = self.view(&stand, lock.as_deref());
        self.inner.lock().unauthorized =
            view.rule.is_ok() && view.device == core_::Device::Unauthorized;
        let step = next_step(&view);
        let done = match (step, lock.as_deref_mut()) {
            (Step::Configure, Some(device)) => {
                let for_host = stand.standing.is_err();
                patiently(|| self.configure(device, for_host))
            }
            (Step::Claim, Some(device)) => patiently(|| self.claim(device)),
            (Step::Attach, Some(device)) => return self.attach(&stand, device),
            (Step::Release, Some(device)) => {
                self.release(device);
                Ok(())
            }
            (Step::Unconfigure, Some(device)) => {
                patiently(|| self.owned(|| device.set_configuration(None)))
            }
            (Step::Renew, Some(device)) => patiently(|| self.renew(device)),
            (Step::Offer, Some(device)) => patiently(|| self.offer(device)),
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
                        let forgotten = self.backend.forget(self);
                        if forgotten {
                            self.unreserve();
                        }
                        // Or else a new rule has come in between.
                        !forgotten
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
            reserved: inner.has_port(),
            tainted: inner.tainted,
            // The wrong port, or one that is no more, is no reason to keep the
            // device on it.
            parked: inner.parked
                || inner.attached.as_ref().is_some_and(|attached| {
                    stand.standing.is_ok()
                        && !(attached.port == stand.rule.target.port
                            && attached.vusb.serves(&stand.rule.target))
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
}
