// SPDX-License-Identifier: GPL-2.0

//! Which request goes out next.
//!
//! URBs wait in their endpoint's queue, in order; endpoints with something to
//! send take turns. Nothing here is driven by time: the shell asks for work
//! when a URB comes in and when an answer has freed a slot.
//!
//! The ring has 16 entries, and some requests are answered when the device has
//! something to say, which may be never: a keyboard's interrupt transfer, the
//! sixteen reads of a modem. So an endpoint may not take all of them, and the
//! last ones are kept for control transfers and for unlinks:
//!
//! | request | goes out while more slots are free than |
//! | --- | --- |
//! | unlink | 0 |
//! | control | 1 |
//! | first of a bulk or interrupt endpoint; isochronous | 3 |
//! | further of a bulk or interrupt endpoint, up to 4 | 8 |

use crate::slots::{Flight, Lie, Slot, Slots};
use crate::table::{NoMemory, Table};
use crate::transfer::{Shape, Transfer};
use usbif::Response;

const FOR_UNLINKS: u8 = 1;
const FOR_CONTROL: u8 = 3;
const FOR_OTHERS: u8 = 8;
/// Most requests in flight of one bulk or interrupt endpoint.
const DEPTH: u8 = 4;

/// Number of a URB that the scheduler has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(pub u32);

/// Number of an endpoint that the scheduler knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointId(pub u32);

/// An endpoint, or a free place for one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Endpoint {
    /// Jobs with requests to send, in order.
    first: Option<u32>,
    last: Option<u32>,
    /// Next endpoint that has such jobs, or next free place.
    next: Option<u32>,
    /// Jobs that are not finished, sent or not.
    jobs: u32,
    in_flight: u8,
    used: bool,
    /// In the queue of endpoints that have something to send.
    queued: bool,
}

/// A URB, or a free place for one.
#[derive(Debug)]
pub struct Job<P> {
    /// What the shell needs to know of it; `None` in a free place.
    payload: Option<P>,
    endpoint: u32,
    transfer: Transfer,
    /// Neighbours in the endpoint's queue; `next` also links the free places,
    /// and jobs whose requests must be unlinked.
    previous: Option<u32>,
    next: Option<u32>,
    waiting: bool,
    unlinking: bool,
}

/// A piece that shall be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The job.
    pub job: JobId,
    /// Slot that carries it.
    pub slot: Slot,
    /// Id of the request.
    pub id: u16,
    /// First byte.
    pub offset: u32,
    /// Most bytes.
    pub limit: u32,
    /// How the transfer stands.
    pub transfer: Transfer,
}

/// The next thing to put on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A piece: lay it out, then call [`Scheduler::sent`] or
    /// [`Scheduler::unsendable`].
    Piece(Piece),
    /// An unlink.
    Unlink {
        /// Its own id.
        id: u16,
        /// Id of the request to give back.
        target: u16,
        /// The job that the target belongs to.
        job: JobId,
    },
}

/// A job that is over.
#[derive(Debug)]
pub struct Finished<P> {
    /// What was submitted.
    pub payload: P,
    /// 0 or a negative errno.
    pub status: i32,
    /// Bytes moved.
    pub actual: u32,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An unlink was carried out, or came too late.
    Unlinked,
    /// A piece is over. Take the data out of its slot, then call
    /// [`Scheduler::settle`].
    Piece {
        /// The job.
        job: JobId,
        /// Slot that carried it; free, but not used before the next
        /// [`Scheduler::next_work`].
        slot: Slot,
        /// First byte of the piece.
        offset: u32,
        /// Bytes of the piece.
        length: u32,
        /// Bytes moved, at most `length`.
        actual: u32,
    },
}

/// All URBs of one controller.
pub struct Scheduler<P, J, E> {
    jobs: J,
    endpoints: E,
    free_job: Option<u32>,
    free_endpoint: Option<u32>,
    /// Endpoints that have something to send, first and last.
    turn: Option<u32>,
    turn_last: Option<u32>,
    /// Jobs whose requests must be unlinked.
    unlink: Option<u32>,
    slots: Slots,
    _payload: core::marker::PhantomData<P>,
}

impl<P, J: Table<Job<P>>, E: Table<Endpoint>> Scheduler<P, J, E> {
    /// A scheduler whose tables are empty.
    pub const fn new(jobs: J, endpoints: E) -> Self {
        Self {
            jobs,
            endpoints,
            free_job: None,
            free_endpoint: None,
            turn: None,
            turn_last: None,
            unlink: None,
            slots: Slots::new(),
            _payload: core::marker::PhantomData,
        }
    }

    /// Gives an endpoint a number.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn add_endpoint(&mut self) -> Result<EndpointId, NoMemory> {
        let fresh = Endpoint {
            used: true,
            ..Endpoint::default()
        };
        if let Some(index) = self.free_endpoint {
            let place = self.endpoints.get_mut(index).ok_or(NoMemory)?;
            self.free_endpoint = place.next;
            *place = fresh;
            return Ok(EndpointId(index));
        }
        self.endpoints.push(fresh).map(EndpointId)
    }

    /// Forgets an endpoint. One that still has URBs stays: the core has them
    /// given back first.
    pub fn remove_endpoint(&mut self, endpoint: EndpointId) -> bool {
        let free = self.free_endpoint;
        match self.endpoints.get_mut(endpoint.0) {
            Some(place) if place.used && place.jobs == 0 => {
                *place = Endpoint {
                    next: free,
                    ..Endpoint::default()
                };
                self.free_endpoint = Some(endpoint.0);
                true
            }
            _ => false,
        }
    }

    /// Takes a URB in, at the end of its endpoint's queue.
    ///
    /// # Errors
    /// The payload, when there is no memory or no such endpoint.
    pub fn submit(
        &mut self,
        endpoint: EndpointId,
        transfer: Transfer,
        payload: P,
    ) -> Result<JobId, P> {
        match self.endpoints.get_mut(endpoint.0) {
            Some(place) if place.used => {}
            _ => return Err(payload),
        }
        let Some(index) = self.job_place() else {
            return Err(payload);
        };
        let Some(job) = self.jobs.get_mut(index) else {
            return Err(payload);
        };
        *job = Job {
            payload: Some(payload),
            endpoint: endpoint.0,
            transfer,
            previous: None,
            next: None,
            waiting: false,
            unlinking: false,
        };
        if let Some(place) = self.endpoints.get_mut(endpoint.0) {
            place.jobs = place.jobs.saturating_add(1);
        }
        self.enqueue(index);
        Ok(JobId(index))
    }

    /// A place for a job, taken off the free ones.
    fn job_place(&mut self) -> Option<u32> {
        if let Some(index) = self.free_job {
            self.free_job = self.jobs.get(index)?.next;
            return Some(index);
        }
        self.jobs
            .push(Job {
                payload: None,
                endpoint: 0,
                transfer: Transfer::new(Shape::Stream, usbif::Direction::Out, 0, 1),
                previous: None,
                next: None,
                waiting: false,
                unlinking: false,
            })
            .ok()
    }

    /// A job's payload.
    pub fn payload(&mut self, job: JobId) -> Option<&mut P> {
        self.jobs.get_mut(job.0)?.payload.as_mut()
    }

    /// A job shall end early. It is given back at once when nothing of it is in
    /// flight, else when the backend has answered.
    pub fn cancel(&mut self, job: JobId) -> Option<Finished<P>> {
        let entry = self.jobs.get_mut(job.0)?;
        entry.payload.as_ref()?;
        entry.transfer.cancel();
        self.after(job.0)
    }

    /// The next thing that may go on the ring now.
    pub fn next_work(&mut self) -> Option<Work> {
        self.next_unlink().or_else(|| self.next_piece())
    }

    fn next_unlink(&mut self) -> Option<Work> {
        while let Some(index) = self.unlink {
            if self.slots.free() == 0 {
                return None;
            }
            if let Some(target) = self.slots.unlink(JobId(index)) {
                // There is a free slot, as seen above.
                let (_, id) = self.slots.take(Flight::Unlink)?;
                return Some(Work::Unlink {
                    id,
                    target,
                    job: JobId(index),
                });
            }
            let entry = self.jobs.get_mut(index)?;
            entry.unlinking = false;
            self.unlink = entry.next.take();
        }
        None
    }

    fn next_piece(&mut self) -> Option<Work> {
        let mut previous = None;
        let mut at = self.turn;
        while let Some(index) = at {
            if let Some(piece) = self.piece_of(index) {
                return Some(Work::Piece(piece));
            }
            previous = at;
            at = self.endpoints.get(index)?.next;
        }
        debug_assert_eq!(previous, self.turn_last);
        None
    }

    /// A piece of the endpoint's first waiting job, if it may go out.
    fn piece_of(&mut self, index: u32) -> Option<Piece> {
        let endpoint = self.endpoints.get(index)?;
        let job = endpoint.first?;
        let transfer = self.jobs.get(job)?.transfer;
        let (offset, limit) = transfer.next_piece()?;
        let keep = match transfer.shape() {
            Shape::Control => FOR_UNLINKS,
            Shape::Isochronous => FOR_CONTROL,
            Shape::Stream if endpoint.in_flight == 0 => FOR_CONTROL,
            Shape::Stream if endpoint.in_flight < DEPTH => FOR_OTHERS,
            Shape::Stream => return None,
        };
        if self.slots.free() <= keep {
            return None;
        }
        let (slot, id) = self.slots.take(Flight::Piece {
            job: JobId(job),
            offset,
            length: limit,
            unlinked: false,
        })?;
        Some(Piece {
            job: JobId(job),
            slot,
            id,
            offset,
            limit,
            transfer,
        })
    }

    /// The piece is on the ring, with that length. The endpoint's turn is over.
    pub fn sent(&mut self, piece: &Piece, length: u32) {
        self.slots.set_length(piece.slot, length);
        let Some(job) = self.jobs.get_mut(piece.job.0) else {
            return;
        };
        job.transfer.sent(length);
        let index = job.endpoint;
        if !job.transfer.unsent() {
            self.dequeue(piece.job.0);
        }
        if let Some(endpoint) = self.endpoints.get_mut(index) {
            endpoint.in_flight = endpoint.in_flight.saturating_add(1);
        }
        self.unqueue_endpoint(index);
        self.queue_endpoint(index);
    }

    /// The piece could not be sent, and its URB fails with that status.
    pub fn unsendable(&mut self, piece: &Piece, status: i32) -> Option<Finished<P>> {
        self.slots.release(piece.slot);
        self.jobs.get_mut(piece.job.0)?.transfer.fail(status);
        self.after(piece.job.0)
    }

    /// Takes in an answer.
    ///
    /// # Errors
    /// [`Lie`]: nothing this backend says can be believed any more.
    pub fn answer(&mut self, response: &Response) -> Result<Answer, Lie> {
        let (slot, flight) = self.slots.answer(response)?;
        Ok(match flight {
            Flight::Unlink => Answer::Unlinked,
            Flight::Piece {
                job,
                offset,
                length,
                ..
            } => Answer::Piece {
                job,
                slot,
                offset,
                length,
                actual: response.actual_length,
            },
        })
    }

    /// A piece of `length` bytes has ended: see [`Answer::Piece`].
    pub fn settle(
        &mut self,
        job: JobId,
        length: u32,
        actual: u32,
        status: i32,
    ) -> Option<Finished<P>> {
        let entry = self.jobs.get_mut(job.0)?;
        entry.transfer.answered(length, actual, status);
        let index = entry.endpoint;
        if let Some(endpoint) = self.endpoints.get_mut(index) {
            endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        }
        self.after(job.0)
    }

    /// What follows from a change of a job: it leaves the queue, its requests
    /// are unlinked, or it is over.
    fn after(&mut self, index: u32) -> Option<Finished<P>> {
        let job = self.jobs.get(index)?;
        let transfer = job.transfer;
        if job.waiting && !transfer.unsent() {
            self.dequeue(index);
        }
        if transfer.ended_early() && self.slots.to_unlink(JobId(index)) {
            let head = self.unlink;
            if let Some(job) = self.jobs.get_mut(index).filter(|job| !job.unlinking) {
                job.unlinking = true;
                job.next = head;
                self.unlink = Some(index);
            }
        }
        let (status, actual) = transfer.finished()?;
        let payload = self.free_job(index)?;
        Some(Finished {
            payload,
            status,
            actual,
        })
    }

    /// Frees a job that is in no queue of its endpoint any more.
    fn free_job(&mut self, index: u32) -> Option<P> {
        if self.jobs.get(index)?.unlinking {
            self.forget_unlink(index);
        }
        let free = self.free_job;
        let job = self.jobs.get_mut(index)?;
        let payload = job.payload.take();
        job.next = free;
        self.free_job = Some(index);
        let endpoint = job.endpoint;
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.jobs = endpoint.jobs.saturating_sub(1);
        }
        payload
    }

    /// Takes a job out of those that have requests to unlink.
    fn forget_unlink(&mut self, index: u32) {
        let next = self.jobs.get(index).and_then(|job| job.next);
        if self.unlink == Some(index) {
            self.unlink = next;
        } else {
            let mut at = self.unlink;
            while let Some(job) = at.and_then(|at| self.jobs.get_mut(at)) {
                if job.next == Some(index) {
                    job.next = next;
                    break;
                }
                at = job.next;
            }
        }
        if let Some(job) = self.jobs.get_mut(index) {
            job.unlinking = false;
            job.next = None;
        }
    }

    /// The controller stops: hands out one job after the other, whatever its
    /// state. What is in flight is forgotten; the shell ends all grants.
    pub fn drain(&mut self) -> Option<Finished<P>> {
        for index in 0..self.jobs.count() {
            let Some(job) = self.jobs.get(index) else {
                continue;
            };
            if job.payload.is_none() {
                continue;
            }
            let actual = job.transfer.moved();
            if job.waiting {
                self.dequeue(index);
            }
            if let Some(payload) = self.free_job(index) {
                return Some(Finished {
                    payload,
                    status: -ESHUTDOWN,
                    actual,
                });
            }
        }
        self.slots = Slots::new();
        for index in 0..self.endpoints.count() {
            if let Some(endpoint) = self.endpoints.get_mut(index) {
                endpoint.in_flight = 0;
            }
        }
        None
    }

    /// Unlinks, and requests that were unlinked, without an answer: while there
    /// are any, the backend owes an answer within bounded time.
    #[must_use]
    pub fn unlinking(&self) -> usize {
        self.slots.unlinking()
    }

    /// Whether some URB has to wait.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.turn.is_some() || self.unlink.is_some()
    }

    /// Appends a job to its endpoint's queue.
    fn enqueue(&mut self, index: u32) {
        let Some(job) = self.jobs.get_mut(index) else {
            return;
        };
        job.waiting = true;
        let number = job.endpoint;
        let Some(endpoint) = self.endpoints.get_mut(number) else {
            return;
        };
        let last = endpoint.last.replace(index);
        job.previous = last;
        match last {
            Some(last) => {
                if let Some(last) = self.jobs.get_mut(last) {
                    last.next = Some(index);
                }
            }
            None => endpoint.first = Some(index),
        }
        self.queue_endpoint(number);
    }

    /// Takes a job out of its endpoint's queue.
    fn dequeue(&mut self, index: u32) {
        let Some(job) = self.jobs.get_mut(index).filter(|job| job.waiting) else {
            return;
        };
        job.waiting = false;
        let (previous, next) = (job.previous.take(), job.next.take());
        let number = job.endpoint;
        let Some(endpoint) = self.endpoints.get_mut(number) else {
            return;
        };
        if previous.is_none() {
            endpoint.first = next;
        }
        if next.is_none() {
            endpoint.last = previous;
        }
        if endpoint.first.is_none() {
            self.unqueue_endpoint(number);
        }
        if let Some(previous) = previous.and_then(|p| self.jobs.get_mut(p)) {
            previous.next = next;
        }
        if let Some(next) = next.and_then(|n| self.jobs.get_mut(n)) {
            next.previous = previous;
        }
    }

    /// Puts an endpoint that has something to send at the end of the turn.
    fn queue_endpoint(&mut self, index: u32) {
        let Some(endpoint) = self.endpoints.get_mut(index) else {
            return;
        };
        if endpoint.queued || endpoint.first.is_none() {
            return;
        }
        endpoint.queued = true;
        endpoint.next = None;
        match self.turn_last.replace(index) {
            Some(last) => {
                if let Some(last) = self.endpoints.get_mut(last) {
                    last.next = Some(index);
                }
            }
            None => self.turn = Some(index),
        }
    }

    fn unqueue_endpoint(&mut self, index: u32) {
        let Some(endpoint) = self.endpoints.get_mut(index).filter(|e| e.queued) else {
            return;
        };
        endpoint.queued = false;
        let next = endpoint.next.take();
        let mut previous = None;
        if self.turn == Some(index) {
            self.turn = next;
        } else {
            let mut at = self.turn;
            while let Some(number) = at {
                let Some(endpoint) = self.endpoints.get_mut(number) else {
                    break;
                };
                if endpoint.next == Some(index) {
                    endpoint.next = next;
                    previous = Some(number);
                    break;
                }
                at = endpoint.next;
            }
        }
        if self.turn_last == Some(index) {
            self.turn_last = previous;
        }
    }
}

const ESHUTDOWN: i32 = 108;
