// SPDX-License-Identifier: GPL-2.0

//! A controller of the frontend: its ring and its scheduler, put together as
//! `usbfront/state.rs` does, without a kernel.
//!
//! Class drivers submit and unlink, the backend answers in any order, tells lies,
//! or falls silent; pieces fail to be laid out, endpoints come and go. Every URB
//! is given back exactly once, none while the backend has a part of it, and a lie
//! is noticed before it does anything.

mod far_end;
mod urbs;

use self::{far_end::FarEnd, urbs::Urbs};
use crate::{page::Page, Choices};
use ring::FrontRing;
use std::collections::{HashMap, VecDeque};
use usbfront_core::{
    Answer, Endpoint, EndpointId, Finished, Job, NoMemory, Scheduler, Shape, Table, Transfer, Work,
    SLOTS,
};
use usbif::{
    Direction, Kind, PortNumber, Request, Response, Segments, Status, Submit, MAX_TRANSFER,
    URB_ENTRY,
};

const ENDPOINTS: usize = 6;
const MAX_PACKET: u16 = 512;

/// A table with room for so many entries.
struct Bounded<T>(Vec<T>, usize);

impl<T> Table<T> for Bounded<T> {
    fn get(&self, index: u32) -> Option<&T> {
        self.0.get(index as usize)
    }
    fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.0.get_mut(index as usize)
    }
    fn push(&mut self, entry: T) -> Result<u32, NoMemory> {
        if self.0.len() == self.1 {
            return Err(NoMemory);
        }
        self.0.push(entry);
        Ok(self.0.len() as u32 - 1)
    }
    fn count(&self) -> u32 {
        self.0.len() as u32
    }
}

/// What the backend has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Has {
    Piece {
        number: u32,
        offset: u32,
        length: u32,
    },
    Unlink,
    Suspend(PortNumber),
}

/// Everything of one controller.
pub struct World {
    ring: FrontRing<Page, URB_ENTRY>,
    far_end: FarEnd,
    tested: Scheduler<u32, Bounded<Job<u32>>, Bounded<Endpoint>>,
    endpoints: [Option<EndpointId>; ENDPOINTS],
    urbs: Urbs,
    /// On the ring or beyond, by id.
    out: HashMap<u16, Has>,
    /// The ids that were used last.
    recent: VecDeque<u16>,
    halted: bool,
}

impl World {
    /// A controller with memory for so many URBs and endpoints.
    pub fn new(jobs: usize, endpoints: usize) -> Self {
        let page = Page::new();
        Self {
            ring: FrontRing::new(page.clone()),
            far_end: FarEnd::new(page),
            tested: Scheduler::new(Bounded(vec![], jobs), Bounded(vec![], endpoints)),
            endpoints: [None; ENDPOINTS],
            urbs: Urbs::default(),
            out: HashMap::new(),
            recent: VecDeque::new(),
            halted: false,
        }
    }

    fn give_back(&mut self, finished: Option<Finished<u32>>) {
        let Some(finished) = finished else { return };
        assert!(
            self.halted || !self.has_part(finished.payload),
            "given back while the backend has a part of it"
        );
        self.urbs.give_back(&finished, self.halted);
    }

    /// Whether the backend has a piece of a URB.
    fn has_part(&self, number: u32) -> bool {
        let part = |has: &Has| matches!(has, Has::Piece { number: n, .. } if *n == number);
        self.out.values().any(part)
    }

    fn endpoint(&mut self, number: usize) -> Option<EndpointId> {
        if self.endpoints[number].is_none() {
            self.endpoints[number] = self.tested.add_endpoint().ok();
        }
        self.endpoints[number]
    }

    /// A class driver submits to an endpoint: 0 is control, 1 isochronous, then
    /// the odd ones are IN.
    pub fn submit(&mut self, number: usize, length: u32, flags: u8) {
        if self.halted {
            return;
        }
        let Some(endpoint) = self.endpoint(number) else {
            return;
        };
        let (shape, length) = match number {
            0 => (Shape::Control, length.min(61_440)),
            1 => (Shape::Isochronous, length.min(61_440)),
            _ => (Shape::Stream, length),
        };
        let direction = if number % 2 == 1 {
            Direction::In
        } else {
            Direction::Out
        };
        let transfer = Transfer::new(shape, direction, length, MAX_PACKET)
            .zero_packet(flags & 1 != 0)
            .short_not_ok(flags & 2 != 0);
        assert_eq!(transfer.is_short_not_ok(), flags & 2 != 0);
        let number = self.urbs.number(shape);
        match self.tested.submit(endpoint, transfer, number) {
            Ok(job) => {
                assert_eq!(self.tested.payload(job).copied(), Some(number));
                self.urbs.submitted(number, job);
            }
            Err(payload) => {
                assert_eq!(payload, number);
                self.urbs.refused(number);
            }
        }
    }

    /// A class driver unlinks.
    pub fn cancel(&mut self, which: usize) {
        if let Some(job) = self.urbs.any(which) {
            let finished = self.tested.cancel(job);
            self.give_back(finished);
        }
    }

    /// The core lets go of an endpoint.
    pub fn remove_endpoint(&mut self, number: usize) {
        if let Some(endpoint) = self.endpoints[number] {
            if self.tested.remove_endpoint(endpoint) {
                self.endpoints[number] = None;
                assert!(!self.tested.remove_endpoint(endpoint), "removed twice");
                let transfer = Transfer::new(Shape::Stream, Direction::In, 1, 1);
                assert!(self.tested.submit(endpoint, transfer, 0).is_err());
            }
        }
    }

    /// The hub driver suspends a port, if there is room for that.
    pub fn suspend(&mut self, port: PortNumber) {
        if self.halted {
            return;
        }
        let Some(id) = self.tested.suspend(port) else {
            assert!(self.out.len() + 1 >= SLOTS, "there was room");
            return;
        };
        self.put(&Request::Suspend { id, port }, Has::Suspend(port));
        assert!(self.out.len() < SLOTS, "no slot is left for unlinks");
        let _ = self.ring.publish();
    }

    /// Puts on the ring what may go there. `fits`: bytes that can be laid out in
    /// one request; 0: there is no memory for it.
    pub fn pump(&mut self, fits: u32) {
        if self.halted {
            return;
        }
        // The completions of what has failed have run meanwhile.
        if self.tested.is_releasable() {
            self.tested.begin_release();
            self.tested.release();
        }
        while let Some(work) = self.tested.next_work() {
            match work {
                Work::Unlink { id, target, job } => {
                    assert!(self.tested.payload(job).is_some());
                    assert!(
                        matches!(self.out.get(&target), Some(Has::Piece { .. })),
                        "an unlink of nothing"
                    );
                    let request = Request::Unlink {
                        id,
                        target,
                        port: 1,
                        device: 1,
                    };
                    self.put(&request, Has::Unlink);
                }
                Work::Piece(piece) => {
                    let number = *self.tested.payload(piece.job).unwrap();
                    let length = piece.transfer.cut(fits.min(piece.limit));
                    let Some(length) = length.filter(|_| fits > 0) else {
                        let finished = self.tested.unsendable(&piece, -12);
                        self.give_back(finished);
                        continue;
                    };
                    assert!(length <= MAX_TRANSFER);
                    let stream = piece.transfer.shape() == Shape::Stream;
                    if stream && piece.transfer.direction() == Direction::In {
                        assert!(!self.has_part(number), "two IN pieces");
                    }
                    self.tested.sent(&piece, length, length);
                    let request = Request::Submit(Submit {
                        id: piece.id,
                        port: PortNumber::new(1).unwrap(),
                        device: 1,
                        endpoint: 1,
                        direction: piece.transfer.direction(),
                        short_not_ok: false,
                        kind: Kind::Bulk,
                        data: Segments::EMPTY,
                    });
                    let offset = piece.offset;
                    self.put(
                        &request,
                        Has::Piece {
                            number,
                            offset,
                            length,
                        },
                    );
                    assert!(self.out.len() < SLOTS, "no slot is left for unlinks");
                }
            }
        }
        let _ = self.ring.publish();
    }

    fn put(&mut self, request: &Request, has: Has) {
        self.ring.push(&request.encode()).expect("no room");
        let id = request.id();
        assert!(self.out.insert(id, has).is_none(), "id in flight twice");
        // An answer that comes late or twice must not be another request's.
        assert!(!self.recent.contains(&id), "id used again soon");
        self.recent.push_back(id);
        if self.recent.len() > 64 {
            self.recent.pop_front();
        }
        assert!(self.out.len() <= SLOTS);
    }

    /// The backend takes the requests that it was shown.
    pub fn backend_takes(&mut self) {
        if !self.halted {
            self.far_end.take();
        }
    }

    /// The backend answers a request that it has, with a share of its length.
    pub fn backend_answers(&mut self, which: usize, share: u8, status: Status) {
        let held = &mut self.far_end.held;
        if held.is_empty() {
            return;
        }
        let id = held.swap_remove(which % held.len());
        let mut response = Response::plain(id, status);
        if let Some(Has::Piece { length, .. }) = self.out.get(&id) {
            response.actual_length = if share > 100 {
                *length
            } else {
                length / 101 * u32::from(share)
            };
        }
        self.far_end.respond(&response.encode());
        assert!(self.take_answers(), "an honest answer is believed");
        // Said again, it is a lie, whatever its slot carries by now.
        assert!(self.tested.answer(&response).is_err());
    }

    /// The backend says anything at all.
    pub fn backend_lies(&mut self, bytes: &[u8; 16]) {
        if self.halted {
            return;
        }
        if self.far_end.has_answered_all() {
            // No such response can be: the ring says so.
            self.far_end.overrun();
            assert!(self.ring.pop().is_err());
            return self.halt();
        }
        let mut entry = [0; URB_ENTRY];
        entry[..16].copy_from_slice(bytes);
        let true_enough =
            Response::parse(&entry).is_ok_and(|response| match self.out.get(&response.id) {
                Some(Has::Piece { length, .. }) => response.actual_length <= *length,
                Some(Has::Unlink | Has::Suspend(_)) => true,
                None => false,
            });
        let id = u16::from_le_bytes([bytes[0], bytes[1]]);
        self.far_end.respond(bytes);
        assert_eq!(self.take_answers(), true_enough);
        if true_enough {
            // It need not have been taken off the ring to be answered: that is
            // the backend's to know.
            self.backend_takes();
            self.far_end.held.retain(|held| *held != id);
        }
    }

    /// The worker takes the answers. False: a lie, and the controller halts.
    fn take_answers(&mut self) -> bool {
        while let Some(entry) = self.ring.pop().unwrap() {
            let Ok(response) = Response::parse(&entry) else {
                self.halt();
                return false;
            };
            let Ok(answer) = self.tested.answer(&response) else {
                self.halt();
                return false;
            };
            let has = self.out.remove(&response.id).expect("never sent");
            match (answer, has) {
                (Answer::Unlinked, Has::Unlink) => {}
                (Answer::Suspended(port), Has::Suspend(asked)) => assert_eq!(port, asked),
                (
                    Answer::Piece {
                        job,
                        offset,
                        length,
                        actual,
                        slot,
                    },
                    Has::Piece {
                        number,
                        offset: place,
                        length: sent,
                    },
                ) => {
                    assert!(slot.index() < SLOTS);
                    assert_eq!((self.urbs.job(number), place, sent), (job, offset, length));
                    assert_eq!(actual, response.actual_length);
                    self.urbs.moved(number, offset, length, actual);
                    let status = response.status.errno();
                    let finished = self.tested.settle(job, offset, length, actual, status);
                    self.give_back(finished);
                }
                other => panic!("{other:?}"),
            }
        }
        true
    }

    /// Nothing that the backend says is believed any more.
    pub fn halt(&mut self) {
        self.halted = true;
        let mut next = 0;
        while let Some(finished) = self.tested.drain(&mut next) {
            assert_eq!(finished.status, -108);
            self.give_back(Some(finished));
        }
        self.urbs.assert_none_is_alive();
        assert!(self.tested.next_work().is_none());
        assert_eq!(self.tested.owed(), 0);
        self.out.clear();
        self.far_end.held.clear();
    }

    /// An honest backend answers everything, or is gone: nothing is left.
    pub fn ends_well(&mut self) {
        for _ in 0..20_000 {
            if self.halted {
                break;
            }
            self.pump(MAX_TRANSFER);
            self.backend_takes();
            if self.far_end.held.is_empty() {
                break;
            }
            self.backend_answers(0, 255, Status::Ok);
        }
        self.urbs.assert_none_is_alive();
        assert_eq!(self.tested.owed(), 0);
        assert!(!self.tested.is_waiting());
        assert!(self.tested.next_work().is_none());
        for number in 0..ENDPOINTS {
            self.remove_endpoint(number);
            assert_eq!(self.endpoints[number], None);
        }
    }
}

/// Choices, then the end.
pub fn any(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let jobs = choices.int_in_range(1..=64).unwrap_or(64);
    let endpoints = choices.int_in_range(1..=8).unwrap_or(8);
    let mut world = World::new(jobs, endpoints);
    for _ in 0..400 {
        if choices.is_empty() {
            break;
        }
        let Ok(step) = choices.arbitrary::<u8>() else {
            break;
        };
        let which = usize::from(step >> 4);
        match step & 0x0f {
            0..=4 => {
                let length = if step & 0x80 == 0 {
                    choices.int_in_range(0..=200_000).unwrap_or(0)
                } else {
                    choices.int_in_range(0..=40).unwrap_or(0) * 4096
                };
                world.submit(which % ENDPOINTS, length, step);
            }
            5 => world.cancel(which),
            6 | 7 => world.pump(MAX_TRANSFER),
            8 => {
                let fits = choices.int_in_range(0..=16).unwrap_or(0) * 4096;
                world.pump(fits);
            }
            9 | 10 => world.backend_takes(),
            11..=13 => {
                let share = choices.arbitrary().unwrap_or(255);
                let status = Status::from_urb(match which {
                    0..=9 => 0,
                    10..=12 => -32,
                    13 => -71,
                    _ => -108,
                });
                world.backend_answers(which, share, status);
            }
            14 => world.remove_endpoint(which % ENDPOINTS),
            _ => match which {
                0 => world.halt(),
                // A lie that is nearly true, or any.
                1..=4 => {
                    let mut bytes: [u8; 16] = choices.arbitrary().unwrap_or([0; 16]);
                    if which > 1 {
                        let id = world.out.keys().min().copied().unwrap_or(0);
                        bytes[..2].copy_from_slice(&id.to_le_bytes());
                        bytes[4..8].fill(0);
                        bytes[10..16].fill(0);
                    }
                    world.backend_lies(&bytes);
                }
                5 | 6 => {
                    if let Some(port) = PortNumber::new(step >> 4) {
                        world.suspend(port);
                    }
                }
                _ => world.cancel(which * 7),
            },
        }
    }
    world.ends_well();
}
