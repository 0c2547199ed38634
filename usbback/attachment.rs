// SPDX-License-Identifier: GPL-2.0

//! A device on a port of a guest's virtual host controller.

use crate::place::Place;
use crate::vusb::Vusb;
use kernel::prelude::*;
use kernel::sync::{
    atomic::{Atomic, AtomicFlag, Relaxed},
    Arc,
};
use usb::device::Device;
use usb::endpoint::Direction;
use usb::lock::LockedDevice;
use usb::power::Power;
use usb::urb::Target;
use usbif::{PortNumber, Speed};

/// Serial of the attachment made last.
static LATEST: Atomic<u64> = Atomic::new(0);

/// From the moment the device is announced until it is taken away. What is
/// plugged in next is another one, also if it is the same device.
pub(crate) struct Attachment {
    pub(crate) vusb: Arc<Vusb>,
    pub(crate) port: PortNumber,
    pub(crate) speed: Speed,
    pub(crate) target: Arc<Target>,
    pub(crate) place: Arc<Place>,
    /// Higher than that of each made before.
    pub(crate) serial: u64,
    /// Keeps the device awake, but for what the guest suspends.
    power: Power,
    /// Some frontend has seen it: it is not as the host has set it up.
    used: AtomicFlag,
}

impl Attachment {
    pub(crate) fn new(
        place: Arc<Place>,
        device: &Device,
        speed: Speed,
        vusb: Arc<Vusb>,
        port: PortNumber,
        used: bool,
    ) -> Result<Arc<Self>> {
        let target = Target::new(device)?;
        let power = Power::new(device)?;
        Ok(Arc::new(
            Self {
                vusb,
                port,
                speed,
                target,
                place,
                serial: LATEST.fetch_add(1, Relaxed),
                power,
                used: AtomicFlag::new(used),
            },
            GFP_KERNEL,
        )?)
    }

    /// Whether a frontend has seen it before; from now on one has.
    pub(crate) fn use_it(&self) -> bool {
        self.used.xchg(true, Relaxed)
    }

    /// Lets no request through, and takes back those that are on their way.
    /// Waits for the controller, not for the device.
    pub(crate) fn quiesce(&self) {
        self.target.close();
        self.vusb.kill_for(&self.target, None);
    }

    /// Takes back what is on its way to one endpoint, while its port holds the next back.
    pub(crate) fn clear(&self, endpoint: u8, direction: Direction) {
        self.vusb
            .kill_for(&self.target, Some((endpoint, direction)));
    }

    /// Lets requests through again.
    pub(crate) fn resume(&self) {
        self.target.reopen();
    }

    /// Suspends the device, as its guest wants.
    pub(crate) fn sleep(&self, device: &mut LockedDevice<'_>, wakeup: bool) -> Result {
        let result = self.power.sleep(device, wakeup);
        if result.is_err() && self.is_awake() {
            // Where the device itself refuses, the core has had us suspend its interfaces,
            // and does not resume them.
            self.resume();
        }
        result
    }

    /// Wakes it, if it sleeps.
    pub(crate) fn wake(&self) -> Result {
        self.power.wake()
    }

    /// Whether it is not to be asleep.
    pub(crate) fn is_awake(&self) -> bool {
        self.power.is_awake()
    }

    /// The device has been resumed, by itself or by somebody: from the USB core's
    /// callback. Requests go through again, and the guest hears of it.
    pub(crate) fn woken(&self) {
        self.resume();
        if self.power.woken() {
            self.vusb.look_again();
        }
    }

    /// Takes the device off the port, for good.
    pub(crate) fn withdraw(&self) {
        self.vusb.detach(self);
        self.target.end();
        self.quiesce();
        self.power.end();
    }
}
