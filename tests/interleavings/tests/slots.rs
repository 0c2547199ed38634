// SPDX-License-Identifier: GPL-2.0

//! The life of a slot: the data worker submits and unlinks while URBs complete,
//! operations of the USB core end, a device is pulled out, its URBs are killed and
//! another one is plugged in. In every order, each request is answered once and
//! the worker is never left asleep.
//!
//! The worker is `invariants::engine`, on the types of `usbback/core`; around it
//! stand the locks of `usbback/connection.rs` and what usbcore guarantees: a URB
//! comes back once, whoever takes it back.

use interleavings::{explore, Event};
use invariants::{
    engine::{Engine, Host, Running},
    page::Page,
};
use loom::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Mutex,
    },
    thread,
};
use ring::SharedPage;
use std::{collections::BTreeMap, sync::Arc};
use usbback_core::{Back, Index, Returned};
use usbif::{
    Direction, Kind, PortNumber, Request, Response, Segments, SetupPacket, Status, Submit,
    URB_ENTRY,
};

/// Slots that a test may use.
const SLOTS: usize = 3;

/// A mistake to be caught.
#[derive(Clone, Copy, PartialEq)]
enum Mistake {
    None,
    /// What comes back does not wake the worker.
    Silent,
    /// A URB that is killed while it completes comes back from both.
    Twice,
}

struct World {
    mistake: Mistake,
    /// The device on port 1.
    attached: Mutex<Option<u64>>,
    /// Device 1 lets no request through any more.
    closed: AtomicBool,
    /// The gates of the URBs: the device that it is on its way to.
    gates: [Mutex<Option<u64>>; SLOTS],
    returned: Mutex<Returned<Index, ()>>,
    /// Wakes the data worker.
    work: Event,
    /// Wakes the devices: something was sent.
    sent: Event,
    /// The operation that devices 1 and 3 have been asked for.
    pending: [Mutex<Option<Running>>; 2],
    asked: [Event; 2],
    over: AtomicBool,
}

#[derive(Clone)]
struct Usb(Arc<World>);

impl Host for Usb {
    fn attached(&self, port: PortNumber) -> Option<u64> {
        match port.get() {
            1 => *self.0.attached.lock().unwrap(),
            _ => None,
        }
    }

    fn submit(&self, slot: Index, _port: PortNumber, serial: u64) -> bool {
        {
            let mut gate = self.0.gates[slot.get()].lock().unwrap();
            if serial == 1 && self.0.closed.load(Ordering::Acquire) {
                return false;
            }
            assert_eq!(gate.replace(serial), None);
        }
        self.0.sent.notify();
        true
    }

    fn unlink(&self, slot: Index) {
        self.complete(slot.get(), |_| true);
    }

    fn run(&self, running: Running) {
        let place = usize::from(running.serial == 3);
        let old = self.0.pending[place].lock().unwrap().replace(running);
        assert!(old.is_none(), "two operations at a time on one device");
        self.0.asked[place].notify();
    }

    fn is_awake(&self, _serial: u64) -> bool {
        true
    }

    fn back(&self) -> Option<Back<Index, ()>> {
        self.0.returned.lock().unwrap().pop()
    }
}

impl Usb {
    fn new(mistake: Mistake) -> Self {
        Self(Arc::new(World {
            mistake,
            attached: Mutex::new(Some(1)),
            closed: AtomicBool::new(false),
            gates: std::array::from_fn(|_| Mutex::new(None)),
            returned: Mutex::new(Returned::nothing()),
            work: Event::new(),
            sent: Event::new(),
            pending: std::array::from_fn(|_| Mutex::new(None)),
            asked: std::array::from_fn(|_| Event::new()),
            over: AtomicBool::new(false),
        }))
    }

    fn look(&self) {
        if self.0.mistake != Mistake::Silent {
            self.0.work.notify();
        }
    }

    /// A URB comes back if it flies to such a device.
    fn complete(&self, slot: usize, which: impl Fn(u64) -> bool) {
        let mut gate = self.0.gates[slot].lock().unwrap();
        if !gate.is_some_and(which) {
            return;
        }
        if self.0.mistake == Mistake::Twice {
            drop(gate);
        } else {
            gate.take();
            drop(gate);
        }
        let slot = Index::new(slot).unwrap();
        let lost = self.0.returned.lock().unwrap().urb(slot);
        assert!(lost.is_none(), "more URBs than slots");
        self.look();
        if self.0.mistake == Mistake::Twice {
            self.0.gates[slot.get()].lock().unwrap().take();
        }
    }

    /// Completes all that is sent, until the end.
    fn device(self) -> impl FnOnce() {
        move || {
            while !self.0.over.load(Ordering::Acquire) {
                self.0.sent.wait();
                for slot in 0..SLOTS {
                    self.complete(slot, |_| true);
                }
            }
        }
    }

    /// Runs the operations of one device, until the end.
    fn place(self, place: usize) -> impl FnOnce() {
        move || {
            while !self.0.over.load(Ordering::Acquire) {
                self.0.asked[place].wait();
                let pending = self.0.pending[place].lock().unwrap().take();
                if let Some(running) = pending {
                    let ended = running.ended(Status::Ok);
                    let port = running.port;
                    let nobody = self.0.returned.lock().unwrap().operation(port, ended);
                    assert!(nobody.is_none_or(|ended| ended.slot.is_none()), "lost");
                    self.look();
                }
            }
        }
    }

    /// Device 1 leaves its port; `next` comes.
    fn replug(&self, next: Option<u64>) {
        *self.0.attached.lock().unwrap() = next;
        self.look();
        self.0.closed.store(true, Ordering::Release);
        for slot in 0..SLOTS {
            self.complete(slot, |serial| serial == 1);
        }
    }

    fn end(&self) {
        self.0.over.store(true, Ordering::Release);
        self.0.sent.notify();
        self.0.asked.iter().for_each(Event::notify);
    }
}

/// The guest's end of the ring.
#[derive(Clone)]
struct Guest(Page);

impl Guest {
    fn ask(&self, request: &Request) {
        let at = self.0.load(0);
        self.0
            .write(64 + at as usize * URB_ENTRY, &request.encode());
        self.0.store(0, at + 1);
    }

    fn answers(&self) -> u32 {
        self.0.load(8)
    }

    /// How often each id was answered.
    fn ids(&self) -> BTreeMap<u16, u32> {
        let mut ids = BTreeMap::new();
        for at in 0..self.answers() as usize {
            let mut entry = [0; URB_ENTRY];
            self.0.read(64 + at * URB_ENTRY, &mut entry);
            *ids.entry(Response::parse(&entry).unwrap().id).or_default() += 1;
        }
        ids
    }
}

fn request(id: u16, endpoint: u8, kind: Kind) -> Request {
    Request::Submit(Submit {
        id,
        port: PortNumber::new(1).unwrap(),
        device: 0,
        endpoint,
        direction: Direction::Out,
        short_not_ok: false,
        kind,
        data: Segments::EMPTY,
    })
}

/// GET_STATUS without data: goes to the device.
fn transfer(id: u16) -> Request {
    request(
        id,
        0,
        Kind::Control(SetupPacket([0x80, 0, 0, 0, 0, 0, 0, 0])),
    )
}

/// SET_CONFIGURATION: an operation of the USB core.
fn operation(id: u16) -> Request {
    request(id, 0, Kind::Control(SetupPacket([0, 9, 1, 0, 0, 0, 0, 0])))
}

fn unlink(id: u16, target: u16) -> Request {
    Request::Unlink {
        id,
        target,
        port: 1,
        device: 0,
    }
}

/// Runs the data worker until so many requests are answered.
fn work(usb: &Usb, guest: &Guest, count: u32) {
    let mut engine = Engine::new(guest.0.clone(), usb.clone());
    loop {
        while engine.turn(8) {}
        if guest.answers() == count {
            break;
        }
        usb.0.work.wait();
    }
    assert_eq!(engine.unanswered(), 0);
    let expected: BTreeMap<u16, u32> = (1..=count as u16).map(|id| (id, 1)).collect();
    assert_eq!(guest.ids(), expected);
    usb.end();
}

/// A transfer is unlinked while it completes and while its device is pulled out;
/// another one waits for nothing.
fn unplug(mistake: Mistake) {
    let usb = Usb::new(mistake);
    let guest = Guest(Page::starting_at(0));
    guest.ask(&transfer(1));
    guest.ask(&transfer(2));
    guest.ask(&unlink(3, 1));
    let device = thread::spawn(usb.clone().device());
    let puller = {
        let usb = usb.clone();
        thread::spawn(move || usb.replug(None))
    };
    work(&usb, &guest, 3);
    device.join().unwrap();
    puller.join().unwrap();
}

#[test]
fn unlinked_completed_and_pulled_out() {
    explore(2, || unplug(Mistake::None));
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_completion_that_wakes_nobody_is_caught() {
    explore(2, || unplug(Mistake::Silent));
}

#[test]
#[should_panic]
fn a_second_completion_is_caught() {
    explore(2, || unplug(Mistake::Twice));
}

/// An operation waits for a transfer, another transfer for the operation, while
/// the device is pulled out.
#[test]
fn an_operation_between_transfers() {
    explore(2, || {
        let usb = Usb::new(Mistake::None);
        let guest = Guest(Page::starting_at(0));
        guest.ask(&transfer(1));
        guest.ask(&operation(2));
        guest.ask(&transfer(3));
        let device = thread::spawn(usb.clone().device());
        let place = thread::spawn(usb.clone().place(0));
        let puller = {
            let usb = usb.clone();
            thread::spawn(move || usb.replug(None))
        };
        work(&usb, &guest, 3);
        device.join().unwrap();
        place.join().unwrap();
        puller.join().unwrap();
    });
}

/// The old device's operation ends while the new device of the same port has one
/// of its own: both requests are answered, and the port goes on.
#[test]
fn operations_of_two_devices_of_one_port() {
    explore(2, || {
        let usb = Usb::new(Mistake::None);
        let guest = Guest(Page::starting_at(0));
        guest.ask(&operation(1));
        let places = [0, 1].map(|place| thread::spawn(usb.clone().place(place)));
        let changer = {
            let (usb, guest) = (usb.clone(), guest.clone());
            thread::spawn(move || {
                usb.replug(Some(3));
                guest.ask(&operation(2));
                guest.ask(&operation(3));
                usb.look();
            })
        };
        work(&usb, &guest, 3);
        for place in places {
            place.join().unwrap();
        }
        changer.join().unwrap();
    });
}
