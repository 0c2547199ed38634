// SPDX-License-Identifier: GPL-2.0

//! A guest in a thread: a frontend, and a driver that keeps a device busy. Handshake,
//! root hub, rings and parsers are the project's own; the rest is as short as can be.

use super::xen::event::Channel;
use super::xen::grant::{Access, Grants, Page};
use super::{locked, World};
use crate::Result;
use ring::{FrontRing, SharedPage, PAGE_SIZE};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::yield_now;
use std::time::{Duration, Instant};
use usbfront_core::{outcome, Action, Backend, Lifecycle, RootHub, UsbVersion};
use usbif::{
    ConnEvent, Direction, IsoDescriptor, Kind, PortNumber, Request, Response, Segment, Segments,
    SetupPacket, Speed, Submit, CONN_ENTRY, URB_ENTRY,
};

/// What this frontend does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// It takes any id for one of its own.
    TrustsIds,
    /// It takes any length.
    TrustsLengths,
    /// It takes packets as they come back.
    TrustsPackets,
    /// A port that is not there it ignores.
    IgnoresPorts,
    /// It does nothing about impossible indices.
    IgnoresIndices,
    /// After a short answer its driver asks for nothing more.
    Hangs,
    /// Once it was halted it connects to nobody.
    StaysHalted,
    /// An unlink without an answer does not trouble it.
    Waits,
    /// Nor does a backend that has kept its pages.
    ConnectsAgain,
    /// Nor one that starts anew all the time.
    ConnectsOften,
    /// It frees the pages of requests that a backend may still be at.
    FreesAtOnce,
}

/// With nothing said for so long, what is in flight counts as unlinked without answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Requests in flight.
const DEPTH: usize = 4;
pub(super) const FRONT: &str = "/local/domain/1/device/vusb/0";
const BACK: &str = "/local/domain/0/backend/qusb/1/0";

struct Rings {
    urbs: FrontRing<Page, URB_ENTRY>,
    conn: FrontRing<Page, CONN_ENTRY>,
    channel: Channel,
    data: Vec<Page>,
    list: Page,
    hub: RootHub,
    flight: BTreeMap<u16, Submit>,
    uses: u16,
    /// Next request of the driver's; from the start when a device has come.
    step: usize,
    heard: Instant,
}

pub(super) struct Guest {
    world: Arc<World>,
    /// Which device this is: removals before it.
    device: u32,
    fault: Fault,
    lifecycle: Lifecycle,
    rings: Option<Rings>,
    /// Those of the last connection, which its backend had mapped.
    kept: Option<Rings>,
    was_halted: bool,
    hangs: bool,
    /// Connections of this device.
    connections: u32,
}

/// As many as an honest backend makes in a test.
const CONNECTIONS: u32 = 10;

impl Guest {
    pub(super) fn new(world: Arc<World>, fault: Fault) -> Self {
        Self {
            world,
            device: 0,
            fault,
            lifecycle: Lifecycle::Waiting,
            rings: None,
            kept: None,
            was_halted: false,
            hangs: false,
            connections: 0,
        }
    }

    pub(super) fn run(mut self) {
        while !self.world.over.load(Ordering::Relaxed) {
            // As the xenbus does it: a directory made anew is another device.
            let device = self.world.removals.load(Ordering::Relaxed);
            if device != self.device {
                self.device = device;
                self.rings = None;
                self.lifecycle = Lifecycle::Waiting;
                self.connections = 0;
            }
            let state = self.node(BACK, "state");
            self.backend_shows(state.as_deref().and_then(|state| state.parse().ok()));
            if let Some(mut rings) = self.rings.take() {
                match self.turn(&mut rings) {
                    Ok(()) => self.rings = Some(rings),
                    Err(_) => self.halt(),
                }
            }
            yield_now();
        }
    }

    fn node(&self, directory: &str, name: &str) -> Option<String> {
        let value = locked(&self.world.nodes)
            .get(&format!("{directory}/{name}"))
            .cloned()?;
        String::from_utf8(value).ok()
    }

    /// A directory that is gone is not made again, and one made since then is not
    /// this device's.
    fn write(&self, name: &str, value: u32) {
        let mut nodes = locked(&self.world.nodes);
        let is_ours = self.world.removals.load(Ordering::Relaxed) == self.device;
        if is_ours && nodes.contains_key(&format!("{FRONT}/state")) {
            nodes.insert(format!("{FRONT}/{name}"), value.to_string().into());
        }
    }

    fn halt(&mut self) {
        self.rings = None;
        self.was_halted = true;
        self.lifecycle = Lifecycle::Halted;
        self.write("state", 6);
    }

    fn backend_shows(&mut self, state: Option<u32>) {
        let backend = match state {
            Some(1 | 7 | 8) => Backend::Preparing,
            Some(2 | 3) => Backend::Waiting,
            Some(4) => Backend::Connected,
            Some(5) => Backend::Closing,
            Some(6) => Backend::Closed,
            _ => Backend::Gone,
        };
        if self.node(FRONT, "state").is_none() {
            return;
        }
        match self.lifecycle.backend(backend) {
            Action::Stay => {}
            Action::Connect | Action::Reconnect => self.connect(),
            Action::Disconnect => {
                let rings = self.rings.take();
                self.kept = rings.filter(|_| self.fault != Fault::FreesAtOnce);
                self.write("state", 6);
            }
        }
    }

    fn connect(&mut self) {
        let kept = |old: Rings| old.data.iter().any(Page::is_mapped);
        if self.rings.take().is_some_and(kept) && self.fault != Fault::ConnectsAgain {
            return self.halt();
        }
        self.kept = None;
        self.connections += 1;
        if self.connections > CONNECTIONS && self.fault != Fault::ConnectsOften {
            return self.halt();
        }
        let number = |name| self.node(BACK, name).map(|value| value.parse::<u32>());
        let hub = || {
            let version = UsbVersion::from_node(number("usb-ver").transpose().ok()?)?;
            RootHub::new(u8::try_from(number("num-ports")?.ok()?).ok()?, version)
        };
        match hub().map(|hub| self.rings(hub)) {
            Some(Ok(rings)) if !(self.was_halted && self.fault == Fault::StaysHalted) => {
                self.write("urb-ring-ref", rings.urbs.page().gref());
                self.write("conn-ring-ref", rings.conn.page().gref());
                self.write("event-channel", rings.channel.port());
                self.rings = Some(rings);
                self.write("state", 4);
            }
            _ => self.halt(),
        }
    }

    fn rings(&self, mut hub: RootHub) -> Result<Rings> {
        let grants = Grants::open()?;
        let page = || grants.page(0, Access::ReadWrite);
        let mut conn = FrontRing::new(page()?);
        let mut id = 0;
        while conn.push(&ConnEvent::request(id)).is_ok() {
            id += 1;
        }
        let _ = conn.publish();
        for port in 1..=hub.count() {
            // PORT_POWER.
            let _ = hub.control(0x2303, 8, port.into(), 0, &mut []);
        }
        Ok(Rings {
            urbs: FrontRing::new(page()?),
            conn,
            channel: Channel::allocate(0)?,
            data: (0..DEPTH).map(|_| page()).collect::<Result<_>>()?,
            list: page()?,
            hub,
            flight: BTreeMap::new(),
            uses: 0,
            step: 0,
            heard: Instant::now(),
        })
    }

    /// A look at the rings; an error halts.
    fn turn(&mut self, rings: &mut Rings) -> Result<()> {
        match self.take(rings) {
            Err(error) if !(self.fault == Fault::IgnoresIndices && error.is_index) => {
                return Err(error.text.into());
            }
            _ => {}
        }
        let port = PortNumber::new(1).ok_or("no port 1")?;
        let plugged = rings.hub.attached(port) != Speed::None && !self.hangs;
        while plugged && rings.flight.len() < DEPTH && rings.urbs.free() > 0 {
            let submit = rings.next()?;
            rings
                .urbs
                .push(&Request::Submit(submit).encode())
                .map_err(|_| "full")?;
            rings.flight.insert(submit.id, submit);
        }
        if rings.urbs.publish() {
            rings.channel.notify()?;
        }
        let silent = rings.heard.elapsed() > PATIENCE;
        if silent && !rings.flight.is_empty() && self.fault != Fault::Waits {
            return Err("no answer to an unlink".into());
        }
        Ok(())
    }

    fn take(&mut self, rings: &mut Rings) -> std::result::Result<(), Bad> {
        let index = |_| Bad {
            text: "impossible ring indices".to_owned(),
            is_index: true,
        };
        while let Some(entry) = rings.urbs.pop().map_err(index)? {
            rings.heard = Instant::now();
            let response = Response::parse(&entry).map_err(|bad| Bad::from(bad.reason))?;
            let Some(submit) = rings.flight.remove(&response.id) else {
                if self.fault == Fault::TrustsIds {
                    rings.flight.pop_first();
                    continue;
                }
                return Err("no such request".into());
            };
            let most = submit.data.total();
            if response.actual_length > most && self.fault != Fault::TrustsLengths {
                return Err("more data than fits".into());
            }
            if self.fault == Fault::Hangs && response.actual_length < most {
                self.hangs = true;
            }
            if submit.endpoint == 2 && !rings.packet_is_sound() {
                if self.fault == Fault::TrustsPackets {
                    continue;
                }
                return Err("another packet".into());
            }
        }
        while let Some(entry) = rings.conn.pop().map_err(index)? {
            rings.heard = Instant::now();
            let refused = |bad: usbif::Refused| Bad::from(bad.reason);
            let event = match ConnEvent::parse(&entry).map_err(refused) {
                Ok(event) => event,
                Err(_) if self.fault == Fault::IgnoresPorts => continue,
                Err(bad) => return Err(bad),
            };
            match rings.hub.connect(event.port, event.speed) {
                Ok(true) if event.port.get() == 1 => rings.step = 0,
                Ok(_) => {}
                Err(_) if self.fault == Fault::IgnoresPorts => {}
                Err(_) => return Err("no such port".into()),
            }
            if rings.conn.push(&ConnEvent::request(event.id)).is_err() {
                return Err("full".into());
            }
        }
        if rings.conn.publish() {
            let _ = rings.channel.notify();
        }
        let urbs = rings.urbs.arm().map_err(index)?;
        let _ = rings.conn.arm().map_err(index)? || urbs;
        Ok(())
    }
}

/// Why a backend is not believed.
struct Bad {
    text: String,
    is_index: bool,
}

impl From<&str> for Bad {
    fn from(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            is_index: false,
        }
    }
}

/// What is sent as the only packet of an isochronous request.
const PACKET: IsoDescriptor = IsoDescriptor {
    offset: 0,
    length: 1024,
    actual_length: 0,
    status: 0,
};

impl Rings {
    /// What the driver does next: enumeration, then transfers of each kind.
    fn next(&mut self) -> Result<Submit> {
        let control = |setup: [u8; 8]| Kind::Control(SetupPacket(setup));
        let isochronous = self.flight.values().any(|submit| submit.endpoint == 2);
        let (kind, endpoint, length) = match self.step {
            0 => (control([0x80, 6, 0, 1, 0, 0, 18, 0]), 0, 18),
            1 => (control([0, 5, 2, 0, 0, 0, 0, 0]), 0, 0),
            2 => (control([0x80, 6, 0, 2, 0, 0, 255, 0]), 0, 255),
            3 => (control([0, 9, 1, 0, 0, 0, 0, 0]), 0, 0),
            4 => (control([1, 11, 1, 0, 0, 0, 0, 0]), 0, 0),
            step if step % 3 == 0 && !isochronous => {
                let mut descriptors = Segments::EMPTY;
                self.list.write(0, &PACKET.encode());
                let list = Segment {
                    gref: self.list.gref(),
                    offset: 0,
                    length: 16,
                };
                descriptors.push(list).map_err(|_| "no segment")?;
                let kind = Kind::Isochronous {
                    interval: 1,
                    start_frame: 0,
                    packets: 1,
                    descriptors,
                };
                (kind, 2, 1024)
            }
            step if step % 3 == 1 => (control([0x80, 6, 0, 1, 0, 0, 18, 0]), 0, 18),
            _ => (Kind::Bulk, 1, PAGE_SIZE),
        };
        let device = if self.step < 2 { 0 } else { 2 };
        self.step += 1;
        let place = (0..DEPTH as u16)
            .find(|place| self.flight.keys().all(|id| id & 15 != *place))
            .ok_or("no slot")?;
        self.uses = self.uses.wrapping_add(1);
        let mut data = Segments::EMPTY;
        if length > 0 {
            let segment = Segment {
                gref: self.data[usize::from(place)].gref(),
                offset: 0,
                length: u16::try_from(length)?,
            };
            data.push(segment).map_err(|_| "no segment")?;
        }
        let direction = match &kind {
            Kind::Control(setup) => setup.direction(),
            _ => Direction::In,
        };
        Ok(Submit {
            id: self.uses << 4 | place,
            port: PortNumber::new(1).ok_or("no port 1")?,
            device,
            endpoint,
            direction,
            short_not_ok: false,
            kind,
            data,
        })
    }

    fn packet_is_sound(&self) -> bool {
        let mut bytes = [0; IsoDescriptor::SIZE];
        self.list.read(0, &mut bytes);
        outcome(&PACKET, &IsoDescriptor::parse(&bytes)).is_some()
    }
}
