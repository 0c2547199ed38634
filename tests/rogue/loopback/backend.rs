// SPDX-License-Identifier: GPL-2.0

//! A backend in a thread. The handshake, the rings and the parser are the
//! project's own; the rest is as short as can be.

use super::stick::Stick;
use super::xen::grant::{Access, Page};
use super::{locked, Bell, World};
use ring::{BackRing, Corrupt, SharedPage};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::yield_now;
use usbback_core::{next_move, Dialect, Move, Other, Own, References, Slots};
use usbif::{
    Direction, Indirect, Kind, Request, Response, Segment, Status, Submit, CONN_ENTRY, URB_ENTRY,
};

/// What this backend does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Every hundredth request has no answer.
    Forgets,
    /// Every hundredth is answered with the id of another one.
    WrongId,
    /// Data is not what was written.
    Garbles,
    /// It writes to pages that were granted for reading.
    WritesReadOnly,
    /// It takes a producer that runs backwards.
    TrustsProducer,
    /// An unlinked request is never answered.
    DropsUnlinked,
    /// After the first connection that failed it takes no other.
    StaysClosed,
    /// Of a list, it takes the last segment first.
    SwapsSegments,
    /// It wants a conn ring.
    RefusesOld,
}

const FRONT: &str = "device/vusb/0";
const BACK: &str = "/back";

struct Rings {
    urbs: BackRing<Page, URB_ENTRY>,
    conn: Option<BackRing<Page, CONN_ENTRY>>,
    bell: Arc<Bell>,
    /// Requests that the stick has nothing to say to yet.
    slots: Slots<Submit>,
    stopped: bool,
}

pub(super) struct Backend {
    world: Arc<World>,
    fault: Fault,
    state: u32,
    rings: Option<Rings>,
    stick: Stick,
    address: u8,
    count: u32,
    failed: bool,
}

/// Writes what the toolstack writes.
pub(super) fn create(world: &World) {
    let mut nodes = locked(&world.nodes);
    nodes.insert(format!("{FRONT}/backend"), BACK.into());
    nodes.insert(format!("{FRONT}/backend-id"), b"0".to_vec());
    nodes.insert(format!("{FRONT}/state"), b"1".to_vec());
    nodes.insert(format!("{BACK}/state"), b"2".to_vec());
    nodes.insert(format!("{BACK}/port-1"), b"3".to_vec());
}

impl Backend {
    pub(super) fn new(world: Arc<World>, fault: Fault) -> Self {
        Self {
            world,
            fault,
            state: 2,
            rings: None,
            stick: Stick::new(),
            address: 0,
            count: 0,
            failed: false,
        }
    }

    pub(super) fn run(mut self) {
        let mut seen = String::from("1");
        while !self.world.over.load(Ordering::Relaxed) {
            let state = self.node("state").unwrap_or_default();
            if state != seen {
                seen.clone_from(&state);
                self.frontend_shows(&state);
            }
            self.serve();
            yield_now();
        }
    }

    fn node(&self, name: &str) -> Option<String> {
        let value = locked(&self.world.nodes)
            .get(&format!("{FRONT}/{name}"))
            .cloned()?;
        String::from_utf8(value).ok()
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.node(name)?.parse().ok()
    }

    fn show(&mut self, state: u32) {
        self.state = state;
        locked(&self.world.nodes).insert(format!("{BACK}/state"), state.to_string().into());
    }

    fn frontend_shows(&mut self, state: &str) {
        let other = match state.parse() {
            Ok(1 | 2 | 7 | 8) => Other::Starting,
            Ok(3 | 4) => Other::Ready,
            Ok(5) => Other::Closing,
            Ok(6) => Other::Closed,
            _ => Other::Gone,
        };
        let own = match (&self.rings, self.state) {
            (Some(_), _) => Own::Mapped,
            (None, 2) => Own::Waiting,
            _ => Own::Ended,
        };
        match next_move(other, own, true) {
            Move::Stay => {}
            Move::Connect => match self.connect() {
                Some(rings) if !(self.failed && self.fault == Fault::StaysClosed) => {
                    self.rings = Some(rings);
                    self.show(4);
                }
                _ => {
                    self.failed = true;
                    self.show(5);
                }
            },
            Move::Close => self.show(5),
            Move::Restart => {
                self.rings = None;
                self.show(6);
                self.show(2);
            }
            Move::End | Move::Vanish => {
                self.rings = None;
                self.show(6);
            }
        }
    }

    fn page(&self, gref: u32) -> Option<Page> {
        let memory = locked(&self.world.grants).get(&gref)?.upgrade()?;
        (memory.domain == 0).then(|| Page::foreign(memory, gref))
    }

    fn connect(&self) -> Option<Rings> {
        let references = References {
            urb_ring: self.number("urb-ring-ref"),
            conn_ring: self.number("conn-ring-ref"),
            ring: self.number("ring-ref"),
            event_channel: self.number("event-channel"),
        };
        let (urbs, conn, channel) = match references.dialect().ok()? {
            Dialect::Usbif {
                urb_ring,
                conn_ring,
                event_channel,
            } => (urb_ring, Some(conn_ring), event_channel),
            Dialect::Old { .. } if self.fault == Fault::RefusesOld => return None,
            Dialect::Old {
                ring,
                event_channel,
            } => (ring, None, event_channel),
        };
        let conn = match conn {
            Some(gref) => Some(BackRing::attach(self.page(gref)?).ok()?),
            None => None,
        };
        Some(Rings {
            urbs: BackRing::attach(self.page(urbs)?).ok()?,
            conn,
            bell: locked(&self.world.channels).get(&channel)?.clone(),
            slots: Slots::default(),
            stopped: false,
        })
    }

    fn serve(&mut self) {
        let Some(mut rings) = self.rings.take() else {
            return;
        };
        if !rings.stopped && self.turn(&mut rings).is_err() {
            rings.stopped = true;
            self.failed = true;
            if self.fault != Fault::TrustsProducer {
                self.show(5);
            }
        }
        self.rings = Some(rings);
    }

    fn turn(&mut self, rings: &mut Rings) -> Result<(), Corrupt> {
        if let Some(conn) = &mut rings.conn {
            conn.pop()?;
        }
        while let Some(entry) = rings.urbs.pop()? {
            self.count += 1;
            match Request::parse(&entry) {
                Err(refused) => self.answer(rings, Response::plain(refused.id, Status::Invalid)),
                Ok(Request::Unlink { id, target, .. }) => {
                    if let Some((target, _)) = rings
                        .slots
                        .find(target)
                        .and_then(|slot| rings.slots.remove(slot))
                    {
                        if self.fault != Fault::DropsUnlinked {
                            self.answer(rings, Response::plain(target, Status::Shutdown));
                        }
                    }
                    self.answer(rings, Response::plain(id, Status::Ok));
                }
                Ok(Request::Submit(submit)) => self.submit(rings, &submit),
                // It does not say that it takes these.
                Ok(Request::Suspend { id, .. }) => {
                    self.answer(rings, Response::plain(id, Status::Invalid));
                }
                Ok(Request::Indirect(indirect)) => {
                    let id = indirect.submit().id;
                    match self.listed(&indirect) {
                        Some(submit) => self.submit(rings, &submit),
                        None => self.answer(rings, Response::plain(id, Status::Invalid)),
                    }
                }
            }
        }
        if rings.urbs.publish() {
            rings.bell.ring();
        }
        rings.urbs.arm().map(drop)
    }

    fn answer(&self, rings: &mut Rings, response: Response) {
        let hundredth = self.count % 100 == 99;
        let id = if hundredth && self.fault == Fault::WrongId {
            response.id ^ 0x100
        } else {
            response.id
        };
        if !(hundredth && self.fault == Fault::Forgets) {
            let _ = rings.urbs.push(&Response { id, ..response }.encode());
        }
    }

    fn submit(&mut self, rings: &mut Rings, submit: &Submit) {
        let plain = |status| Response::plain(submit.id, status);
        if rings.slots.find(submit.id).is_some() {
            return self.answer(rings, plain(Status::Invalid));
        }
        if submit.port.get() != 1 {
            return self.answer(rings, plain(Status::NoDevice));
        }
        if submit.device == 0 && submit.endpoint == 0 {
            self.address = 0;
            self.stick.reset();
        }
        if submit.device != self.address {
            return self.answer(rings, plain(Status::NoDevice));
        }
        let response = match (&submit.kind, submit.endpoint, submit.direction) {
            (Kind::Control(setup), 0, _) => match setup.0 {
                [0, 5, address, ..] => {
                    self.address = address & 0x7f;
                    plain(Status::Ok)
                }
                setup => match self.stick.control(&setup) {
                    Ok(bytes) => self.give(submit, bytes),
                    Err(status) => plain(status),
                },
            },
            (Kind::Bulk, 1, Direction::In) => match self.stick.input() {
                Some(bytes) => self.give(submit, bytes),
                None if rings.slots.insert(submit.id, *submit).is_ok() => return,
                None => plain(Status::Invalid),
            },
            (Kind::Bulk, 2, Direction::Out) => match self.fetch(submit) {
                Some(bytes) => {
                    self.stick.output(&bytes);
                    Response {
                        actual_length: submit.data.total(),
                        ..plain(Status::Ok)
                    }
                }
                None => plain(Status::Invalid),
            },
            _ => plain(Status::Invalid),
        };
        self.answer(rings, response);
    }

    fn listed(&self, indirect: &Indirect) -> Option<Submit> {
        let at = indirect.list();
        let mut list = [0; Indirect::LIST];
        let bytes = self
            .page(at.gref)?
            .copy(usize::from(at.offset), usize::from(at.length));
        list[..bytes.len()].copy_from_slice(&bytes);
        if self.fault == Fault::SwapsSegments && bytes.len() > 8 {
            let (first, last) = list.split_at_mut(bytes.len() - 8);
            first[..8].swap_with_slice(&mut last[..8]);
        }
        indirect.complete(&list).ok()
    }

    fn fetch(&self, submit: &Submit) -> Option<Vec<u8>> {
        let read = |segment: &Segment| {
            let page = self.page(segment.gref)?;
            Some(page.copy(usize::from(segment.offset), usize::from(segment.length)))
        };
        let parts: Option<Vec<Vec<u8>>> = submit.data.as_slice().iter().map(read).collect();
        Some(parts?.concat())
    }

    fn give(&self, submit: &Submit, mut bytes: Vec<u8>) -> Response {
        bytes.truncate(submit.data.total() as usize);
        if self.fault == Fault::Garbles && bytes.len() > 4096 {
            bytes[4096] ^= 1;
        }
        let mut rest = bytes.as_slice();
        let mut status = Status::Ok;
        for segment in submit.data.as_slice() {
            let (part, behind) = rest.split_at(rest.len().min(usize::from(segment.length)));
            rest = behind;
            match self.page(segment.gref) {
                Some(page)
                    if page.memory.access == Access::ReadWrite
                        || self.fault == Fault::WritesReadOnly =>
                {
                    page.write(usize::from(segment.offset), part);
                }
                _ if part.is_empty() => {}
                _ => status = Status::Invalid,
            }
        }
        Response {
            actual_length: if status == Status::Ok {
                u32::try_from(bytes.len()).unwrap_or(0)
            } else {
                0
            },
            ..Response::plain(submit.id, status)
        }
    }
}
