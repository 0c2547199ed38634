// SPDX-License-Identifier: GPL-2.0

//! Which request goes out next.
//!
//! URBs wait in their endpoint's queue, in order; endpoints with something to
//! send take turns. Nothing here is driven by time: the shell asks for work
//! when a URB comes in and when an answer has freed a slot. How many slots
//! there must be for whom is said in `share.rs`.

use crate::job::{Endpoint, EndpointId, Finished, Hold, Job, JobId};
use crate::list::{List, Pool};
use crate::share::{accepts, reserve, FOR_UNLINKS};
use crate::slots::{Flight, Lie, Slots};
use crate::table::{NoMemory, Table};
use crate::transfer::Transfer;
use crate::work::{Answer, Piece, Work};
use usbif::{PortNumber, Response};

const ESHUTDOWN: i32 = 108;

/// All URBs of one controller.
pub struct Scheduler<P, J, E> {
    pub(crate) jobs: Pool<Job<P>, J>,
    pub(crate) endpoints: Pool<Endpoint, E>,
    /// Endpoints that have something to send.
    turn: List,
    /// Jobs whose requests must be unlinked.
    unlink: List,
    pub(crate) slots: Slots,
    /// Endpoints whose queues do not move: see [`Self::begin_release`].
    pub(crate) held: u32,
    one_at_a_time: bool,
}

impl<P, J: Table<Job<P>>, E: Table<Endpoint>> Scheduler<P, J, E> {
    /// A scheduler whose tables are empty.
    pub const fn new(jobs: J, endpoints: E) -> Self {
        Self {
            jobs: Pool::new(jobs),
            endpoints: Pool::new(endpoints),
            turn: List::EMPTY,
            unlink: List::EMPTY,
            slots: Slots::new(),
            held: 0,
            one_at_a_time: false,
        }
    }

    /// Of no endpoint is more than one request in flight: for a backend that cannot
    /// take back what it has queued behind a request that fails.
    #[must_use]
    pub fn one_at_a_time(mut self, set: bool) -> Self {
        self.one_at_a_time = set;
        self
    }

    /// Gives an endpoint a number.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn add_endpoint(&mut self) -> Result<EndpointId, NoMemory> {
        let index = self.endpoints.take().ok_or(NoMemory)?;
        self.endpoints.get_mut(index).ok_or(NoMemory)?.used = true;
        Ok(EndpointId(index))
    }

    /// Forgets an endpoint. One that still has URBs stays: the core has them
    /// given back first.
    pub fn remove_endpoint(&mut self, endpoint: EndpointId) -> bool {
        match self.endpoints.get(endpoint.0) {
            Some(place) if place.used && place.jobs == 0 => {
                if place.hold != Hold::Free {
                    self.held = self.held.saturating_sub(1);
                }
                self.endpoints.release(endpoint.0);
                true
            }
            _ => false,
        }
    }

    /// Takes a URB in, at the end of its endpoint's queue.
    ///
    /// # Errors
    /// The payload, when there is no memory, when the endpoint has more than its share of the
    /// URBs, or when there is no such endpoint.
    pub fn submit(
        &mut self,
        endpoint: EndpointId,
        transfer: Transfer,
        payload: P,
    ) -> Result<JobId, P> {
        let Some(place) = self.endpoints.get_mut(endpoint.0).filter(|e| e.used) else {
            return Err(payload);
        };
        if !accepts(self.jobs.used(), place.jobs) {
            return Err(payload);
        }
        let Some(index) = self.jobs.take() else {
            return Err(payload);
        };
        let Some(job) = self.jobs.get_mut(index) else {
            return Err(payload);
        };
        job.payload = Some(payload);
        job.endpoint = endpoint.0;
        job.transfer = transfer;
        place.jobs = place.jobs.saturating_add(1);
        place.waiting.append(&mut self.jobs, index);
        self.turn.append(&mut self.endpoints, endpoint.0);
        Ok(JobId(index))
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

    /// Id of a request to suspend the device on a port, if there is room for one beside
    /// an unlink: it is in flight from now on.
    pub fn suspend(&mut self, port: PortNumber) -> Option<u16> {
        if self.slots.free() <= FOR_UNLINKS {
            return None;
        }
        let (_, id) = self.slots.take(Flight::Suspend(port))?;
        Some(id)
    }

    fn next_unlink(&mut self) -> Option<Work> {
        while let Some(index) = self.unlink.first() {
            if self.slots.free() == 0 {
                return None;
            }
            let job = JobId(index);
            if let Some(target) = self.slots.unlink(job) {
                // There is a free slot, as seen above.
                let (_, id) = self.slots.take(Flight::Unlink)?;
                return Some(Work::Unlink { id, target, job });
            }
            self.forget_unlink(index);
        }
        None
    }

    fn next_piece(&mut self) -> Option<Work> {
        let mut at = self.turn.first();
        while let Some(index) = at {
            if let Some(piece) = self.piece_of(index) {
                return Some(Work::Piece(piece));
            }
            at = self.endpoints.after(index);
        }
        None
    }

    /// A piece of the endpoint's first waiting job, if it may go out.
    fn piece_of(&mut self, index: u32) -> Option<Piece> {
        let Ready {
            job,
            transfer,
            offset,
            limit,
            reserve,
        } = self.ready(index)?;
        if self.slots.free() <= reserve {
            return None;
        }
        let (slot, id) = self.slots.take(Flight::Piece {
            job,
            offset,
            length: 0,
            bytes: 0,
            unlinked: false,
        })?;
        Some(Piece {
            job,
            slot,
            id,
            offset,
            limit,
            transfer,
        })
    }

    /// The endpoint's next piece, if it waits for nothing but an entry of the ring.
    fn ready(&self, index: u32) -> Option<Ready> {
        let endpoint = self.endpoints.get(index).filter(|e| e.hold == Hold::Free)?;
        let job = endpoint.waiting.first()?;
        let transfer = self.jobs.get(job)?.transfer;
        let (offset, limit) = transfer.next_piece()?;
        let must_wait = || self.one_at_a_time || self.has_in_flight(index, Transfer::is_strict);
        if endpoint.in_flight > 0 && must_wait() {
            return None;
        }
        Some(Ready {
            job: JobId(job),
            transfer,
            offset,
            limit,
            reserve: reserve(transfer.shape(), endpoint.in_flight)?,
        })
    }

    /// The piece is on the ring, with that length, and an answer may report so
    /// many bytes. The endpoint's turn is over.
    pub fn sent(&mut self, piece: &Piece, length: u32, bytes: u32) {
        self.slots.set_length(piece.slot, length, bytes);
        let Some(job) = self.jobs.get_mut(piece.job.0) else {
            return;
        };
        job.transfer.sent(length);
        let (index, more) = (job.endpoint, job.transfer.unsent());
        if !more {
            self.dequeue(piece.job.0);
        }
        let Some(endpoint) = self.endpoints.get_mut(index) else {
            return;
        };
        endpoint.in_flight = endpoint.in_flight.saturating_add(1);
        if !endpoint.waiting.is_empty() {
            self.turn.remove(&mut self.endpoints, index);
            self.turn.append(&mut self.endpoints, index);
        }
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
            Flight::Suspend(port) => Answer::Suspended(port),
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

    /// A piece of that place and length has ended, and moved `actual` bytes: see
    /// [`Answer::Piece`].
    pub fn settle(
        &mut self,
        job: JobId,
        offset: u32,
        length: u32,
        actual: u32,
        status: i32,
    ) -> Option<Finished<P>> {
        let entry = self.jobs.get_mut(job.0)?;
        entry.transfer.answered(offset, length, actual, status);
        let index = entry.endpoint;
        if let Some(endpoint) = self.endpoints.get_mut(index) {
            endpoint.in_flight = endpoint.in_flight.saturating_sub(1);
        }
        self.after(job.0)
    }

    /// What follows from a change of a job: it leaves the queue, its requests
    /// are unlinked, or it is over.
    fn after(&mut self, index: u32) -> Option<Finished<P>> {
        let transfer = self.jobs.get(index)?.transfer;
        if !transfer.unsent() {
            self.dequeue(index);
        }
        if transfer.failed() {
            self.hold(index);
        }
        if transfer.ended_early() && self.slots.to_unlink(JobId(index)) {
            self.jobs.get_mut(index)?.unlinking = true;
            self.unlink.append(&mut self.jobs, index);
        }
        let (status, actual) = transfer.finished()?;
        let payload = self.free_job(index)?;
        Some(Finished {
            payload,
            status,
            actual,
        })
    }

    /// Takes a job out of its endpoint's queue, if it is there.
    fn dequeue(&mut self, index: u32) {
        let Some(job) = self.jobs.get(index).filter(|job| !job.unlinking) else {
            return;
        };
        let number = job.endpoint;
        let Some(endpoint) = self.endpoints.get_mut(number) else {
            return;
        };
        endpoint.waiting.remove(&mut self.jobs, index);
        if endpoint.waiting.is_empty() {
            self.turn.remove(&mut self.endpoints, number);
        }
    }

    /// Takes a job out of those that have requests to unlink.
    fn forget_unlink(&mut self, index: u32) {
        self.unlink.remove(&mut self.jobs, index);
        if let Some(job) = self.jobs.get_mut(index) {
            job.unlinking = false;
        }
    }

    /// Frees a job.
    fn free_job(&mut self, index: u32) -> Option<P> {
        if self.jobs.get(index)?.unlinking {
            self.forget_unlink(index);
        } else {
            self.dequeue(index);
        }
        let job = self.jobs.release(index)?;
        if let Some(endpoint) = self.endpoints.get_mut(job.endpoint) {
            endpoint.jobs = endpoint.jobs.saturating_sub(1);
        }
        job.payload
    }

    /// The controller stops: hands out one job after the other, whatever its
    /// state. What is in flight is forgotten; the shell ends all grants.
    ///
    /// `next`: 0 at first, and what it was left at after that. No job may come in meanwhile.
    pub fn drain(&mut self, next: &mut u32) -> Option<Finished<P>> {
        while *next < self.jobs.count() {
            let index = *next;
            *next = index.saturating_add(1);
            let Some(job) = self.jobs.get(index) else {
                continue;
            };
            if job.payload.is_none() {
                continue;
            }
            let actual = job.transfer.moved();
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
                endpoint.hold = Hold::Free;
            }
        }
        self.held = 0;
        None
    }

    /// Unlinks, requests that were unlinked and suspensions, without an answer: while
    /// there are any, the backend owes an answer within bounded time.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.slots.owed()
    }

    /// Whether any request at all is without an answer.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        self.slots.in_flight()
    }

    /// A look of the watchdog: how often it has looked since the answer that is owed the
    /// longest is.
    pub fn look(&mut self) -> u32 {
        self.slots.look()
    }

    /// Whether some URB waits, for whatever reason.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.turn.is_empty() || !self.unlink.is_empty()
    }

    /// After all that may go has been sent: whether some URB waits because the
    /// ring has no entry for it, rather than for an answer or a completion.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let mut at = self.turn.first();
        while let Some(index) = at {
            if self.ready(index).is_some() {
                return true;
            }
            at = self.endpoints.after(index);
        }
        !self.unlink.is_empty()
    }
}

/// A piece that may go out as soon as more than `reserve` entries are free.
struct Ready {
    job: JobId,
    transfer: Transfer,
    offset: u32,
    limit: u32,
    reserve: u8,
}
