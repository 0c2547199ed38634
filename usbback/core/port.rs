// SPDX-License-Identifier: GPL-2.0

//! A port of the guest's root hub, as the guest's requests see it.
//!
//! The guest gives its device an address; the device keeps the host's. A port
//! reset has no message of its own on the wire. It shows as a request to
//! address 0 on a port whose device had an address, and becomes a real reset.
//!
//! Operations of the host's USB core run elsewhere and take time, one at a time
//! for each device. Control requests to endpoint 0 that come meanwhile wait
//! behind it in order; other endpoints wait for those operations only that change
//! them, which the USB core must not do under a request that is just being
//! submitted. What does not go to
//! the device waits for what has gone there, so that the guest gets the answers
//! of endpoint 0 in the order of its requests, as from any controller.
//!
//! A guest suspends a device to which nothing is on its way. That it resumes it has
//! no message either: a control request to endpoint 0 wakes the device first, as
//! the guest's core begins with one. Other endpoints of a suspended device are shut.

use crate::control::remote_wakeup;
use crate::{Index, Meaning, Operation, SLOTS};
use usbif::{Direction, Status, Submit};

/// The address that the guest has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    /// None yet: the device is as the host left it, a request to 0 is fine.
    Fresh,
    /// None, but somebody has used the device before: a request to 0 resets it.
    Used,
    /// This one, 1..=127.
    Given(u8),
}

/// Whether the device sleeps, as far as the guest's requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleep {
    Awake,
    /// The guest has had it suspended, or is about to.
    Asleep,
    /// The operation that runs wakes it first.
    Waking,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the request in this slot to the device.
    Submit(Index),
    /// Answer it.
    Answer(Index, Status),
    /// Have the USB core do this, then call [`Port::done`]. Answer the request,
    /// if there is one, with the result.
    Run(Option<Index>, Operation),
}

/// A port: empty, or with the device `D`.
#[derive(Debug)]
pub enum Port<D> {
    /// Nothing there, or nothing any more.
    Empty,
    /// A device.
    Attached {
        /// It.
        device: D,
        /// What the guest has done to it.
        guest: Guest,
    },
}

/// What the guest has done to the device on a port, and what it waits for.
#[derive(Debug)]
pub struct Guest {
    address: Address,
    /// The operation of the USB core that runs.
    running: Option<Operation>,
    sleep: Sleep,
    /// The guest has allowed it to wake up by itself since it was last suspended.
    wakeup: bool,
    /// What waits for its end, in order, without gaps.
    queue: [Option<Waiting>; SLOTS],
}

/// A request whose turn has not come.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    slot: Index,
    /// A port reset comes first.
    reset: bool,
    turn: Turn,
}

impl Waiting {
    /// Whether what flies has to come back first. A reset takes it back.
    fn has_to_wait(&self, flying: bool) -> bool {
        flying && !self.reset && !matches!(self.turn, Turn::Submit | Turn::Data(..))
    }
}

/// What happens when its turn comes.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// A control request to endpoint 0 goes to the device.
    Submit,
    /// So does one to another endpoint.
    Data(u8, Direction),
    Answer(Status),
    Run(Operation),
}

impl<D> Port<D> {
    /// A port with a device. `used`: not as the host has set it up.
    pub fn attach(device: D, used: bool) -> Self {
        Self::Attached {
            device,
            guest: Guest {
                address: if used { Address::Used } else { Address::Fresh },
                running: None,
                sleep: Sleep::Awake,
                wakeup: false,
                queue: [None; SLOTS],
            },
        }
    }

    /// The device.
    pub fn device(&self) -> Option<&D> {
        match self {
            Self::Empty => None,
            Self::Attached { device, .. } => Some(device),
        }
    }

    /// Decides about the request in `slot`. None: it waits, see [`Port::next`].
    pub fn request(&mut self, slot: Index, submit: &Submit) -> Option<Verdict> {
        match self {
            Self::Empty => Some(Verdict::Answer(slot, Status::NoDevice)),
            Self::Attached { guest, .. } => guest.request(slot, submit),
        }
    }

    /// Decides about the request in `slot` to suspend the device. `outstanding`:
    /// another request to the port has not been answered.
    pub fn suspend(&mut self, slot: Index, outstanding: bool) -> Verdict {
        match self {
            Self::Empty => Verdict::Answer(slot, Status::NoDevice),
            Self::Attached { guest, .. } => guest.suspend(slot, outstanding),
        }
    }

    /// The operation has ended; see [`Port::next`]. `awake`: the device is not
    /// suspended now. True: it was to be, so unless the answer says so, the guest
    /// has to be told that it has woken up.
    pub fn done(&mut self, awake: bool) -> bool {
        if let Self::Attached { guest, .. } = self {
            guest.running = None;
            if guest.sleep == Sleep::Waking {
                guest.sleep = Sleep::Awake;
            }
        }
        awake && self.woke()
    }

    /// The device is not suspended now. True: the guest has to be told. While an
    /// operation runs, its end is the time for that.
    pub fn woke(&mut self) -> bool {
        match self {
            Self::Attached { guest, .. } if guest.running.is_none() => {
                core::mem::replace(&mut guest.sleep, Sleep::Awake) == Sleep::Asleep
            }
            _ => false,
        }
    }

    /// What comes next of that which waits: to be asked whenever something has
    /// been put there or has ended, until there is nothing. `flying`: a control
    /// request to endpoint 0 is at the device.
    pub fn next(&mut self, flying: bool) -> Option<Verdict> {
        match self {
            Self::Empty => None,
            Self::Attached { guest, .. } => guest.next(flying),
        }
    }

    /// Forgets the request in `slot`; false if it does not wait here.
    pub fn withdraw(&mut self, slot: Index) -> bool {
        match self {
            Self::Empty => false,
            Self::Attached { guest, .. } => guest.withdraw(slot),
        }
    }

    /// Empties the port; says which requests have waited.
    pub fn detach(&mut self) -> impl Iterator<Item = Index> {
        let queue = match core::mem::replace(self, Self::Empty) {
            Self::Empty => [None; SLOTS],
            Self::Attached { guest, .. } => guest.queue,
        };
        queue.into_iter().flatten().map(|waiting| waiting.slot)
    }
}

impl Guest {
    fn request(&mut self, slot: Index, submit: &Submit) -> Option<Verdict> {
        let setup = match submit.default_control() {
            Some(setup) => setup,
            None if self.address == Address::Given(submit.device) => {
                if self.sleep != Sleep::Awake {
                    return Some(Verdict::Answer(slot, Status::Shutdown));
                }
                if !self.holds(submit.endpoint, submit.direction) {
                    return Some(Verdict::Submit(slot));
                }
                self.wait(slot, false, Turn::Data(submit.endpoint, submit.direction));
                return None;
            }
            None => return Some(Verdict::Answer(slot, Status::NoDevice)),
        };
        let reset = match (submit.device, self.address) {
            (0, Address::Fresh) => false,
            (0, Address::Used | Address::Given(_)) => {
                self.address = Address::Fresh;
                true
            }
            (address, Address::Given(given)) if address == given => false,
            _ => return Some(Verdict::Answer(slot, Status::NoDevice)),
        };
        if let Some(wakeup) = remote_wakeup(setup) {
            self.wakeup = wakeup;
        }
        let turn = match Meaning::of(setup) {
            Meaning::SetAddress(address) => {
                self.address = match address {
                    0 => Address::Fresh,
                    address => Address::Given(address),
                };
                Turn::Answer(Status::Ok)
            }
            Meaning::Core(operation) => Turn::Run(operation),
            Meaning::Device => Turn::Submit,
            Meaning::Answer(status) => Turn::Answer(status),
        };
        self.wait(slot, reset, turn);
        None
    }

    fn wait(&mut self, slot: Index, reset: bool, turn: Turn) {
        // There are as many places as slots, and a slot waits once.
        if let Some(place) = self.queue.iter_mut().find(|place| place.is_none()) {
            *place = Some(Waiting { slot, reset, turn });
        }
    }

    /// Whether requests to an endpoint other than 0 have to wait: it is being changed, or
    /// others have waited for that and are still here, which go first.
    fn holds(&self, endpoint: u8, direction: Direction) -> bool {
        let is_before = |waiting: &Waiting| match waiting.turn {
            Turn::Data(other, way) => (other, way) == (endpoint, direction),
            _ => false,
        };
        self.running
            .is_some_and(|running| running.changes(endpoint, direction))
            || self.queue.iter().map_while(Option::as_ref).any(is_before)
    }

    fn suspend(&mut self, slot: Index, outstanding: bool) -> Verdict {
        let addressed = matches!(self.address, Address::Given(_));
        if outstanding || self.running.is_some() || !addressed {
            return Verdict::Answer(slot, Status::Stall);
        }
        if self.sleep == Sleep::Asleep {
            return Verdict::Answer(slot, Status::Ok);
        }
        self.sleep = Sleep::Asleep;
        // The host's core takes the permission back when the device resumes.
        let wakeup = core::mem::take(&mut self.wakeup);
        let operation = Operation::Suspend { wakeup };
        self.running = Some(operation);
        Verdict::Run(Some(slot), operation)
    }

    fn start(&mut self, waiting: Waiting) -> Verdict {
        let slot = waiting.slot;
        let first = if waiting.reset {
            Operation::Reset
        } else {
            match waiting.turn {
                Turn::Answer(status) => return Verdict::Answer(slot, status),
                Turn::Submit if self.sleep == Sleep::Asleep => Operation::Resume,
                Turn::Submit | Turn::Data(..) => return Verdict::Submit(slot),
                Turn::Run(operation) => return self.run(Some(slot), operation),
            }
        };
        self.queue.rotate_right(1);
        let [next, ..] = &mut self.queue;
        *next = Some(Waiting {
            reset: false,
            ..waiting
        });
        self.run(None, first)
    }

    /// Every operation but a suspension begins with the device awake.
    fn run(&mut self, slot: Option<Index>, operation: Operation) -> Verdict {
        self.running = Some(operation);
        if self.sleep == Sleep::Asleep {
            self.sleep = Sleep::Waking;
        }
        Verdict::Run(slot, operation)
    }

    fn next(&mut self, flying: bool) -> Option<Verdict> {
        let [first, ..] = &mut self.queue;
        if self.running.is_some() || first.is_some_and(|waiting| waiting.has_to_wait(flying)) {
            return None;
        }
        let next = first.take()?;
        self.queue.rotate_left(1);
        Some(self.start(next))
    }

    fn withdraw(&mut self, slot: Index) -> bool {
        let found = self
            .queue
            .iter()
            .position(|place| place.is_some_and(|waiting| waiting.slot == slot));
        let Some(rest) = found.and_then(|at| self.queue.get_mut(at..)) else {
            return false;
        };
        // The reset that it asked for is still due, but nobody may be left to
        // wait for it: then the next request to address 0 asks again.
        let reset = rest
            .first()
            .is_some_and(|place| place.is_some_and(|waiting| waiting.reset));
        rest.rotate_left(1);
        if let Some(last) = rest.last_mut() {
            *last = None;
        }
        if reset {
            match rest.first_mut() {
                Some(Some(next)) => next.reset = true,
                _ if self.address == Address::Fresh => self.address = Address::Used,
                _ => {}
            }
        }
        true
    }
}
