// SPDX-License-Identifier: GPL-2.0

//! What the controller's lock protects, and what happens under it: requests
//! are put on the ring, answers are taken off.
//!
//! Everything here runs with interrupts off, so each call does a bounded piece
//! of work, and nothing waits.

use crate::{
    broken::Broken,
    controller::{Controller, Events, Watchdog},
    memory::Memory,
    packets,
    tables::Growing,
    transfer::{self, Sizes},
};
use kernel::prelude::*;
use ring::FrontRing;
use usb::{
    hcd::{Handle, Locked},
    hcd_urb::Urb,
};
use usbfront_core::{
    Answer, ConnectError, Endpoint, Finished, Job, Lie, Millis, Piece, RootHub, Scheduler, Work,
};
use usbif::{
    ConnEvent, Kind, PortNumber, Request, Response, Statistics, Status, CONN_ENTRY, URB_ENTRY,
};
use xen::{evtchn::EventChannel, ring_page::RingPage, timer::Timer};

/// Answers taken in without letting go of the lock: each may copy 128 KiB.
const ANSWERS: u32 = 4;
/// Connection events likewise.
const EVENTS: u32 = 32;
/// How long a backend may take to answer an unlink, in milliseconds. It has
/// bounded work before it: a reset of the device, or a request that the host
/// gives up after 5 s, and their repetition.
const PATIENCE: u32 = 60_000;
/// How often to look meanwhile whether it is still there, in milliseconds: a
/// process that has died takes no leave.
const LOOK: u32 = 1_000;

/// The connection to the backend.
pub(crate) struct Link {
    pub(crate) urb_ring: FrontRing<RingPage, URB_ENTRY>,
    pub(crate) conn_ring: FrontRing<RingPage, CONN_ENTRY>,
    pub(crate) memory: Memory,
    /// It was ended with requests that the backend has not answered, and may still be at.
    pub(crate) unanswered: bool,
    pub(crate) channel: Pin<KBox<EventChannel<Events>>>,
    pub(crate) watchdog: Pin<KBox<Timer<Watchdog>>>,
    pub(crate) handle: Handle<Controller>,
}

/// State of a controller.
pub(crate) struct State {
    pub(crate) hub: KBox<RootHub>,
    pub(crate) hub_suspended: bool,
    pub(crate) scheduler: Scheduler<Urb, Growing<Job<Urb>>, Growing<Endpoint>>,
    /// `None` before the connection is made and after it has ended.
    pub(crate) link: Option<Link>,
    /// No URB is accepted any more, none is left.
    down: bool,
    /// Whole pages may be granted in place.
    trusted: bool,
    /// The backend takes indirect requests.
    pub(crate) indirect: bool,
    /// The watchdog runs.
    watched: bool,
    /// The controller is being removed: looks of the watchdog since then.
    leaving: Option<u32>,
    /// URBs that were given back and have not reached the core.
    returning: u32,
    pub(crate) statistics: Statistics,
}

/// What a look at the rings has found.
#[derive(Clone, Copy, Default)]
pub(crate) struct Turn {
    /// There was something.
    pub(crate) progress: bool,
    /// There is more.
    pub(crate) more: bool,
    /// The hub driver has something to see.
    pub(crate) ports: bool,
    /// A port that was given a device too fast for this controller.
    pub(crate) too_fast: Option<PortNumber>,
}

impl State {
    #[inline(never)] // For the sake of the stack.
    pub(crate) fn new(
        hub: KBox<RootHub>,
        trusted: bool,
        indirect: bool,
        one_at_a_time: bool,
    ) -> Result<Self> {
        let scheduler = Scheduler::new(Growing::new(64)?, Growing::new(32)?);
        Ok(Self {
            hub,
            hub_suspended: false,
            scheduler: scheduler.one_at_a_time(one_at_a_time),
            link: None,
            down: false,
            trusted,
            indirect,
            watched: false,
            leaving: None,
            returning: 0,
            statistics: Statistics::default(),
        })
    }

    /// Puts a connection in place. What is on the ports is for its backend to say.
    pub(crate) fn open(&mut self, link: Link) {
        self.hub.disconnect_all();
        self.link = Some(link);
        self.down = false;
        self.watched = false;
        self.leaving = None;
        self.statistics = Statistics::default();
    }

    /// The controller is to be removed. Drivers unlink one URB after the other then, and a
    /// backend's patience with each would add up. And who waits for an URB with a device
    /// locked, as an ioctl of `usbtest`'s does, unlinks nothing, and keeps the
    /// device from being disconnected.
    pub(crate) fn leave(&mut self) {
        self.leaving = Some(0);
        self.watch();
    }

    /// Whether URBs cannot be accepted.
    pub(crate) fn is_down(&self) -> bool {
        self.down || self.link.is_none()
    }

    /// So many URBs that were given back have reached the core.
    pub(crate) fn gave_back(&mut self, count: u32) {
        self.returning = self.returning.saturating_sub(count);
    }

    /// Whether queues that stand still after an error can be let go on when the
    /// completions that the core knows of have run.
    pub(crate) fn is_releasable(&self) -> bool {
        self.returning == 0 && !self.down && self.scheduler.is_releasable()
    }

    /// Puts on the ring one request that may go there, if there is one. A URB
    /// that cannot be sent is over at once.
    fn push_one(&mut self) -> Result<Option<Option<Finished<Urb>>>, Broken> {
        let Some(link) = &mut self.link else {
            return Ok(None);
        };
        let suspend = self.hub.next_suspend();
        if let Some((port, id)) =
            suspend.and_then(|port| Some((port, self.scheduler.suspend(port)?)))
        {
            link.urb_ring
                .push(&Request::Suspend { id, port }.encode())
                .map_err(|_| Broken::Bug)?;
            self.hub.told(port);
            return Ok(Some(None));
        }
        let Some(work) = self.scheduler.next_work() else {
            return Ok(None);
        };
        let piece = match work {
            Work::Unlink { id, target, job } => {
                let urb = self.scheduler.payload(job).ok_or(Broken::Bug)?;
                let request = Request::Unlink {
                    id,
                    target,
                    port: urb.root_port(),
                    device: urb.device_address(),
                };
                link.urb_ring
                    .push(&request.encode())
                    .map_err(|_| Broken::Bug)?;
                return Ok(Some(None));
            }
            Work::Piece(piece) => piece,
        };
        let urb = self.scheduler.payload(piece.job).ok_or(Broken::Bug)?;
        match prepare(&mut link.memory, urb, &piece, self.trusted) {
            Ok((entry, sizes)) => {
                link.urb_ring.push(&entry).map_err(|_| Broken::Bug)?;
                self.scheduler.sent(&piece, sizes.length, sizes.bytes);
                Ok(Some(None))
            }
            Err(error) => {
                // What it was granted before it failed ends unanswered.
                link.memory
                    .collect(piece.slot, urb, piece.transfer.direction(), 0)?;
                Ok(Some(self.scheduler.unsendable(&piece, error.to_errno())))
            }
        }
    }

    /// Takes one answer off the ring.
    fn pop_one(
        &mut self,
        turn: &mut Turn,
        now: Millis,
    ) -> Result<Option<Option<Finished<Urb>>>, Broken> {
        let Some(link) = &mut self.link else {
            return Ok(None);
        };
        let Some(entry) = link.urb_ring.pop()? else {
            return Ok(None);
        };
        let response = Response::parse(&entry).map_err(|bad| Broken::Message(bad.reason))?;
        match self.scheduler.answer(&response)? {
            Answer::Unlinked => Ok(Some(None)),
            Answer::Suspended(port) => {
                let suspended = response.status == Status::Ok;
                turn.ports |= self.hub.suspend_answered(port, suspended, now);
                Ok(Some(None))
            }
            Answer::Piece {
                job,
                slot,
                offset,
                length,
                mut actual,
            } => {
                let urb = self.scheduler.payload(job).ok_or(Broken::Bug)?;
                if urb.packet_count() > 0 {
                    actual = packets::collect(&link.memory, slot, urb, offset, length)
                        .ok_or(Lie::Packet(response.id))?;
                    if offset == 0 {
                        urb.set_start_frame(response.start_frame);
                    }
                } else {
                    let direction = transfer::direction(urb);
                    link.memory.collect(slot, urb, direction, actual)?;
                }
                let status = response.status.errno();
                let settled = self.scheduler.settle(job, offset, length, actual, status);
                Ok(Some(settled))
            }
        }
    }

    /// Takes connection events off their ring, and gives the backend the
    /// entries back.
    fn events(&mut self, turn: &mut Turn) -> Result<(), Broken> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        for _ in 0..EVENTS {
            let Some(entry) = link.conn_ring.pop()? else {
                break;
            };
            turn.progress = true;
            let event = ConnEvent::parse(&entry).map_err(|bad| Broken::Message(bad.reason))?;
            match self.hub.connect(event.port, event.speed) {
                Ok(changed) => turn.ports |= changed,
                Err(ConnectError::NoPort) => return Err(Broken::NoPort(event.port.get())),
                Err(ConnectError::TooFast) => {
                    turn.ports = true;
                    turn.too_fast = Some(event.port);
                }
            }
            link.conn_ring
                .push(&ConnEvent::request(event.id))
                .map_err(|_| Broken::Bug)?;
        }
        Ok(())
    }

    /// Shows the backend what was pushed, and rings once for all of it.
    fn publish(&mut self) {
        if let Some(link) = &mut self.link {
            let urbs = link.urb_ring.publish();
            let events = link.conn_ring.publish();
            if urbs || events {
                link.channel.notify();
            }
        }
    }

    /// Whether the backend owes an answer within bounded time: an unlink, what was
    /// unlinked, or a suspension; any, when the controller is being removed. Otherwise requests
    /// that wait for the device may take for ever; a port reset cannot, for the core unlinks
    /// its requests after 5 s.
    fn is_owed(&self) -> bool {
        self.scheduler.owed() > 0 || (self.leaving.is_some() && self.scheduler.in_flight())
    }

    /// Lets the watchdog run while the backend owes an answer within bounded time.
    fn watch(&mut self) {
        let owed = self.is_owed();
        if owed == self.watched || (self.watched && self.leaving.is_some()) {
            return;
        }
        if let Some(link) = &self.link {
            if owed {
                link.watchdog.arm(LOOK);
            } else {
                link.watchdog.disarm();
            }
        }
        self.watched = owed;
    }
}

/// Fills a piece's pages and makes its request.
fn prepare(
    memory: &mut Memory,
    urb: &Urb,
    piece: &Piece,
    trusted: bool,
) -> Result<([u8; URB_ENTRY], Sizes)> {
    let slot = piece.slot;
    let mut submit = transfer::request(urb, piece)?;
    let data = &mut submit.data;
    let sizes = match &mut submit.kind {
        Kind::Isochronous {
            packets,
            descriptors,
            ..
        } => {
            let run = transfer::run(urb, piece)?;
            *packets = u16::try_from(run.packets).map_err(|_| E2BIG)?;
            packets::lay_out(memory, urb, piece, run, data, descriptors)?;
            Sizes {
                length: run.packets,
                bytes: run.bytes,
            }
        }
        _ => {
            let plan = memory.plan(slot).ok_or(EINVAL)?;
            let length = transfer::plan(urb, piece, trusted, plan)?;
            memory.lay_out(slot, urb, piece.transfer.direction(), data)?;
            Sizes {
                length,
                bytes: length,
            }
        }
    };
    Ok((memory.entry(slot, &submit)?, sizes))
}

pub(crate) fn give_back(locked: &mut Locked<'_, Controller>, finished: Option<Finished<Urb>>) {
    if let Some(mut finished) = finished {
        if finished.payload.packet_count() > 0 {
            finished.payload.count_errors();
        }
        let direction = transfer::direction(&finished.payload);
        locked
            .statistics
            .gave_back(finished.status, direction, finished.actual);
        locked.returning = locked.returning.saturating_add(1);
        locked.give_back(finished.payload, finished.status, finished.actual);
    }
}

/// Sends what may be sent, and notifies the backend once.
pub(crate) fn pump(locked: &mut Locked<'_, Controller>) -> Result<(), Broken> {
    if locked.down {
        return Ok(());
    }
    while let Some(finished) = locked.push_one()? {
        give_back(locked, finished);
    }
    locked.publish();
    locked.watch();
    Ok(())
}

/// Takes in some of what the backend has said, and sends what may follow.
pub(crate) fn turn(locked: &mut Locked<'_, Controller>, now: Millis) -> Result<Turn, Broken> {
    let mut turn = Turn::default();
    if locked.down {
        return Ok(turn);
    }
    for _ in 0..ANSWERS {
        match locked.pop_one(&mut turn, now)? {
            Some(finished) => {
                turn.progress = true;
                give_back(locked, finished);
            }
            None => break,
        }
    }
    locked.events(&mut turn)?;
    pump(locked)?;
    if let Some(link) = &mut locked.link {
        // Not one after the other: both have to be armed.
        let urbs = link.urb_ring.arm()?;
        let events = link.conn_ring.arm()?;
        turn.more = urbs || events;
    }
    Ok(turn)
}

/// Ends everything: gives back all URBs, and accepts no more. Returns whether
/// there was something to end.
pub(crate) fn shut_down(locked: &mut Locked<'_, Controller>) -> bool {
    if core::mem::replace(&mut locked.down, true) {
        return false;
    }
    let unanswered = locked.scheduler.in_flight();
    if let Some(link) = &mut locked.link {
        link.watchdog.disarm();
        link.memory.abandon();
        link.unanswered = unanswered;
    }
    let mut next = 0;
    while let Some(finished) = locked.scheduler.drain(&mut next) {
        give_back(locked, Some(finished));
    }
    true
}

/// The watchdog's look at a backend that owes an answer: an error if there will be none.
pub(crate) fn look(locked: &mut Locked<'_, Controller>) -> Result<(), Broken> {
    if locked.down || !locked.watched {
        return Ok(());
    }
    let mut looks = locked.scheduler.look();
    if let Some(all) = &mut locked.leaving {
        *all = all.saturating_add(1);
        looks = looks.max(*all);
    }
    let overdue = locked.is_owed() && looks.saturating_mul(LOOK) >= PATIENCE;
    match &locked.link {
        Some(link) if link.channel.is_unbound() => Err(Broken::Vanished),
        Some(_) if overdue => Err(Broken::Silent),
        Some(link) => {
            link.watchdog.arm(LOOK);
            Ok(())
        }
        None => Ok(()),
    }
}
