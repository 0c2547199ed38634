// SPDX-License-Identifier: GPL-2.0

//! The pure root hub behind a controller that the USB core has registered: its hub driver
//! takes it, and asks for what is said to be plugged there.

use kernel::{
    error::code::EPROTO,
    faux,
    prelude::*,
    sync::{Arc, SpinLockIrq},
    time::{delay::fsleep, Delta, Instant, Monotonic},
};
use usb::{
    hcd::{Hcd, HostController, HubAnswer, Locked},
    hcd_urb::{Key, Urb},
};
use usbfront_core::{Millis, RootHub, UsbVersion};
use usbif::{PortNumber, Speed};

const PORTS: u8 = 4;
/// Requests to the device that fail before it is unplugged.
const FAILURES: u32 = 3;
/// The hub driver waits a tenth of a second for a port to settle.
const PATIENCE: Delta = Delta::from_secs(20);

struct State {
    hub: RootHub,
    held: Option<Urb>,
    taken: u32,
    returned: u32,
}

#[pin_data]
struct Controller {
    #[pin]
    state: SpinLockIrq<State>,
    start: Instant<Monotonic>,
}

impl Controller {
    fn new() -> Arc<Self> {
        let state = State {
            hub: RootHub::new(PORTS, UsbVersion::Usb20).unwrap(),
            held: None,
            taken: 0,
            returned: 0,
        };
        let this = pin_init!(Self {
            state <- kernel::new_spinlock_irq!(state, "pvusb_kunit::State"),
            start: Instant::now(),
        });
        Arc::pin_init(this, GFP_KERNEL).unwrap()
    }

    fn now(&self) -> Millis {
        self.start.elapsed().as_millis() as Millis
    }

    /// Gives the URB back that is there, if there is one.
    fn give_back(locked: &mut Locked<'_, Self>, status: i32) {
        if let Some(urb) = locked.held.take() {
            locked.returned += 1;
            locked.give_back(urb, status, 0);
        }
    }
}

impl HostController for Controller {
    type State = State;

    const NAME: &'static CStr = c"pvusb-kunit";
    const PRODUCT_USB20: &'static CStr = c"PVUSB test controller";
    const PRODUCT_USB11: &'static CStr = c"PVUSB test controller";

    fn state(&self) -> &SpinLockIrq<State> {
        &self.state
    }

    fn enqueue(
        &self,
        locked: &mut Locked<'_, Self>,
        mut urb: Urb,
    ) -> core::result::Result<(), (Error, Urb)> {
        if locked.held.is_some() {
            return Err((ENOMEM, urb));
        }
        locked.taken += 1;
        urb.set_key(Key(locked.taken));
        locked.held = Some(urb);
        Ok(())
    }

    fn dequeue(&self, locked: &mut Locked<'_, Self>, key: Key) {
        assert_eq!(key, Key(locked.taken));
        Self::give_back(locked, 0);
    }

    fn endpoint_disabled(&self, _locked: &mut Locked<'_, Self>, _key: Key) {}

    fn hub_control(
        &self,
        locked: &mut Locked<'_, Self>,
        request: u16,
        value: u16,
        index: u16,
        answer: &mut [u8],
    ) -> HubAnswer {
        match locked
            .hub
            .control(request, value, index, self.now(), answer)
        {
            Ok(bytes) => HubAnswer::Bytes(bytes),
            Err(_) => HubAnswer::Stall,
        }
    }

    fn hub_status(&self, locked: &mut Locked<'_, Self>, answer: &mut [u8]) -> usize {
        locked.hub.status_data(self.now(), answer)
    }

    fn frame_number(&self) -> u32 {
        self.now() as u32
    }

    fn stop(&self, locked: &mut Locked<'_, Self>) {
        Self::give_back(locked, ESHUTDOWN.to_errno());
    }
}

/// A controller in use, and the device that it is of, which goes last.
fn registered() -> (Hcd<Controller>, faux::Registration) {
    let device = faux::Registration::new(c"pvusb-kunit", None).unwrap();
    let mut hcd = Hcd::new(device.as_ref().as_ref(), true, Controller::new()).unwrap();
    // An error if the hub driver does not take the root hub.
    hcd.add().unwrap();
    (hcd, device)
}

/// Says that something is attached to a port, or that nothing is any more.
fn say(hcd: &Hcd<Controller>, speed: Speed) {
    let handle = hcd.handle();
    let port = PortNumber::new(2).unwrap();
    let news = Locked::new(&**handle.controller()).hub.connect(port, speed);
    assert!(matches!(news, Ok(true)));
    handle.poll_root_hub();
}

/// Waits until the hub driver has asked the device for something.
fn wait_asked(controller: &Controller) {
    let start = Instant::<Monotonic>::now();
    while Locked::new(controller).held.is_none() {
        assert!(start.elapsed() < PATIENCE, "nobody asks for the device");
        fsleep(Delta::from_millis(5));
    }
}

#[::kernel::macros::kunit_tests(pvusb_hcd)]
mod pvusb_hcd {
    use super::*;

    /// The core asks for what is plugged, by URBs that come back once each.
    #[test]
    fn a_device_is_asked_for() {
        let (hcd, _device) = registered();
        let controller = hcd.handle().controller().clone();
        say(&hcd, Speed::High);
        for _ in 0..FAILURES {
            wait_asked(&controller);
            Controller::give_back(&mut Locked::new(&*controller), EPROTO.to_errno());
        }
        say(&hcd, Speed::None);
        drop(hcd);
        let state = Locked::new(&*controller);
        assert!(state.taken >= FAILURES && state.held.is_none());
        assert_eq!(state.taken, state.returned);
    }

    /// It may go with a URB in flight: the core takes that back.
    #[test]
    fn a_controller_goes_while_a_device_is_asked() {
        let (hcd, _device) = registered();
        let controller = hcd.handle().controller().clone();
        say(&hcd, Speed::Full);
        wait_asked(&controller);
        drop(hcd);
        let state = Locked::new(&*controller);
        assert_eq!((state.taken, state.held.is_none()), (state.returned, true));
    }

    /// Nobody has to be there.
    #[test]
    fn controllers_come_and_go() {
        for _ in 0..3 {
            drop(registered());
        }
    }
}
