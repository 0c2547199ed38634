// SPDX-License-Identifier: GPL-2.0

//! Requests: correct ones of every kind, and what can be wrong with them.
//!
//! A wrong grant number is never a small one: the guest's own console, XenStore
//! and network pages have those, and to spoil them would hurt nobody else.

use crate::frontend::connection::Connection;
use crate::frontend::device::{listed_in, segments, Device};
use crate::frontend::Vusb;
use crate::xen::grant::{Access, Page};
use crate::Result;
use fastrand::Rng;
use ring::SharedPage;
use usbif::{
    Direction, Indirect, IsoDescriptor, Kind, Request, Segment, Segments, SetupPacket, Submit,
    MAX_INDIRECT, URB_ENTRY,
};

/// Numbers at which something may break.
const EXTREMES: [u16; 17] = [
    0, 1, 2, 15, 16, 17, 31, 32, 255, 256, 4095, 4096, 4097, 32767, 32768, 65534, 65535,
];

/// Where the fields of a request are (struct xenusb_urb_request).
const BUFFER_SEGS: usize = 2;
const PIPE: usize = 4;
const FLAGS: usize = 8;
const BUFFER_LENGTH: usize = 10;
const SPECIFIC: usize = 12;
pub(crate) const SEGS: usize = 20;
pub(crate) const SEGMENT: usize = 8;

/// A grant number that nobody has issued.
pub(crate) fn void_grant(random: &mut Rng) -> u32 {
    match random.u8(0..4) {
        0 => u32::MAX,
        1 => 0x7fff_ffff,
        _ => random.u32(1 << 20..),
    }
}

/// Makes requests to some devices.
pub(crate) struct Maker {
    data: Vec<Page>,
    descriptors: Page,
    /// Of segments.
    lists: Page,
    pub(crate) devices: Vec<Device>,
}

impl Maker {
    pub(crate) fn new(vusb: &Vusb, devices: Vec<Device>) -> Result<Self> {
        Ok(Self {
            data: vusb.pages(16)?,
            descriptors: vusb.page(Access::ReadWrite)?,
            lists: vusb.page(Access::ReadWrite)?,
            devices,
        })
    }

    /// A request that an honest frontend could make.
    pub(crate) fn correct(&self, id: u16, random: &mut Rng) -> Result<[u8; URB_ENTRY]> {
        let device = &self.devices[random.usize(..self.devices.len())];
        let wanted = match random.u8(0..6) {
            0 | 1 => 0,
            2 | 3 => 2,
            4 => 3,
            _ => 1,
        };
        let mut endpoints: Vec<_> = device
            .endpoints
            .iter()
            .filter(|end| end.kind == wanted)
            .collect();
        random.shuffle(&mut endpoints);
        let (endpoint, mut direction) = match endpoints.first() {
            Some(end) => (end.address & 0x0f, end.direction()),
            None => (0, Direction::In),
        };
        let mut length = random.usize(0..=16 * 4096);
        let kind = match (endpoints.is_empty(), wanted) {
            (false, 1) => {
                length = random.usize(1..=4096);
                let packets = random.u16(1..=64);
                self.describe(packets, length)?;
                Kind::Isochronous {
                    interval: 1,
                    start_frame: 0,
                    packets,
                    descriptors: segments(
                        std::slice::from_ref(&self.descriptors),
                        usize::from(packets) * IsoDescriptor::SIZE,
                    )?,
                }
            }
            (false, 2) => Kind::Bulk,
            (false, 3) => {
                length = random.usize(0..=64);
                Kind::Interrupt { interval: 8 }
            }
            _ => {
                let setup = setup(random);
                length = usize::from(setup.length());
                direction = setup.direction();
                Kind::Control(setup)
            }
        };
        let submit = Submit {
            id,
            port: device.port,
            device: device.address,
            endpoint,
            direction,
            short_not_ok: random.bool(),
            kind,
            data: segments(&self.data, length)?,
        };
        Ok(match submit.kind {
            Kind::Bulk | Kind::Interrupt { .. } if random.bool() => {
                let data = self.scattered(random)?;
                listed_in(&self.lists, list(random), &Submit { data, ..submit })
            }
            _ => submit.entry(),
        })
    }

    /// One to 32 segments anywhere in the pages.
    fn scattered(&self, random: &mut Rng) -> Result<Segments> {
        let mut out = Segments::EMPTY;
        for _ in 0..random.usize(1..=MAX_INDIRECT) {
            let length = random.u16(1..=4096);
            let segment = Segment {
                gref: self.data[random.usize(..self.data.len())].gref(),
                offset: random.u16(0..=4096 - length),
                length,
            };
            out.push(segment).map_err(|_| "too many segments")?;
        }
        Ok(out)
    }

    /// A bulk transfer to a device that takes one, with these segments.
    pub(crate) fn output(&self, id: u16, data: Segments) -> Result<Submit> {
        let takes = |device: &Device| {
            let mut ends = device.endpoints.iter();
            ends.find(|end| end.kind == 2 && end.direction() == Direction::Out)
                .map(|end| end.address)
        };
        let mut found = self
            .devices
            .iter()
            .filter_map(|device| Some((device, takes(device)?)));
        let (device, endpoint) = found.next().ok_or("no device has such an endpoint")?;
        Ok(Submit {
            id,
            port: device.port,
            device: device.address,
            endpoint,
            direction: Direction::Out,
            short_not_ok: false,
            kind: Kind::Bulk,
            data,
        })
    }

    /// Pushes so many of [`Self::waiting`]; returns their ids.
    pub(crate) fn push_waiting(
        &self,
        count: u64,
        connection: &mut Connection,
        random: &mut Rng,
    ) -> Result<Vec<u16>> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let id = connection.fresh_id();
            connection.push(&self.waiting(id, random)?.encode())?;
            ids.push(id);
        }
        Ok(ids)
    }

    /// A control request without data.
    pub(crate) fn plain(&self, id: u16, device: &Device, setup: [u8; 8]) -> Request {
        let setup = SetupPacket(setup);
        Request::Submit(Submit {
            id,
            port: device.port,
            device: device.address,
            endpoint: 0,
            direction: setup.direction(),
            short_not_ok: false,
            kind: Kind::Control(setup),
            data: Segments::EMPTY,
        })
    }

    /// One that stays with its device: it asks a stick for an answer to nothing, or a
    /// keyboard for a key.
    pub(crate) fn waiting(&self, id: u16, random: &mut Rng) -> Result<Request> {
        let ends = self
            .devices
            .iter()
            .flat_map(|device| device.endpoints.iter().map(move |end| (device, end)));
        let mut ends: Vec<_> = ends
            .filter(|(_, end)| end.kind >= 2 && end.direction() == Direction::In)
            .collect();
        random.shuffle(&mut ends);
        let (device, end) = ends.first().ok_or("no device has such an endpoint")?;
        Ok(Request::Submit(Submit {
            id,
            port: device.port,
            device: device.address,
            endpoint: end.address & 0x0f,
            direction: Direction::In,
            short_not_ok: false,
            kind: match end.kind {
                2 => Kind::Bulk,
                _ => Kind::Interrupt { interval: 8 },
            },
            data: segments(&self.data, 512)?,
        }))
    }

    /// A request for a device descriptor into these segments, which hold 18 bytes.
    pub(crate) fn descriptor_into(&self, id: u16, data: Segments, random: &mut Rng) -> Request {
        let device = &self.devices[random.usize(..self.devices.len())];
        Request::Submit(Submit {
            id,
            port: device.port,
            device: device.address,
            endpoint: 0,
            direction: Direction::In,
            short_not_ok: false,
            kind: Kind::Control(SetupPacket([0x80, 6, 0, 1, 0, 0, 18, 0])),
            data,
        })
    }

    /// A request with one to three things wrong.
    pub(crate) fn wrong(&self, id: u16, random: &mut Rng) -> Result<[u8; URB_ENTRY]> {
        let mut entry = self.correct(id, random)?;
        for _ in 0..random.u8(1..=3) {
            corrupt(&mut entry, random);
        }
        self.spoil_descriptors(random);
        if random.u8(0..4) == 0 {
            self.spoil_lists(random);
        }
        Ok(entry)
    }

    /// Makes something wrong with a segment of a list.
    pub(crate) fn spoil_lists(&self, random: &mut Rng) {
        let at = usize::from(list(random)) + SEGMENT * random.usize(0..MAX_INDIRECT);
        match random.u8(0..3) {
            0 => self.lists.write(at, &void_grant(random).to_le_bytes()),
            1 => self.lists.write(at + 4, &number(random).to_le_bytes()),
            _ => self.lists.write(at + 6, &number(random).to_le_bytes()),
        }
    }

    /// Writes descriptors of packets that lie in `length` bytes.
    fn describe(&self, packets: u16, length: usize) -> Result<()> {
        let each = length / usize::from(packets);
        for packet in 0..usize::from(packets) {
            let descriptor = IsoDescriptor {
                offset: u32::try_from(packet * each)?,
                length: u32::try_from(each)?,
                actual_length: 0,
                status: 0,
            };
            self.descriptors
                .write(packet * IsoDescriptor::SIZE, &descriptor.encode());
        }
        Ok(())
    }

    /// Makes a packet point anywhere, sometimes.
    fn spoil_descriptors(&self, random: &mut Rng) {
        if random.u8(0..4) == 0 {
            let at = random.usize(0..64) * IsoDescriptor::SIZE + 4 * random.usize(0..4);
            let value = if random.bool() {
                random.u32(..)
            } else {
                u32::from(extreme(random))
            };
            self.descriptors.write(at, &value.to_le_bytes());
        }
    }
}

/// Where a list of the page of lists begins.
fn list(random: &mut Rng) -> u16 {
    // 256 bytes each.
    const LENGTH: u16 = Indirect::LIST as u16;
    LENGTH * random.u16(0..4096 / LENGTH)
}

/// A control request: mostly one of the standard ones.
fn setup(random: &mut Rng) -> SetupPacket {
    let mut bytes: [u8; 8] = match random.u8(0..10) {
        0..=2 => [0x80, 6, 0, random.u8(1..8), 0, 0, random.u8(..), 0],
        3 => [0x80, 0, 0, 0, 0, 0, 2, 0],
        4 => [0x82, 0, 0, 0, random.u8(0..3), 0, 2, 0],
        5 => [0x02, 1, 0, 0, random.u8(..) & 0x83, 0, 0, 0],
        6 => [0x01, 11, random.u8(0..3), 0, random.u8(0..3), 0, 0, 0],
        7 => [0xa1, 0xfe, 0, 0, 0, 0, 1, 0],
        8 => [
            0xc0,
            random.u8(..),
            random.u8(..),
            0,
            0,
            0,
            random.u8(..),
            random.u8(0..16),
        ],
        _ => {
            let mut any = [0; 8];
            any.fill_with(|| random.u8(..));
            any
        }
    };
    // Configurations are rare: each takes the device's driver off and on.
    if bytes[..2] == [0, 9] {
        bytes[1] = 10;
    }
    if random.u16(0..300) == 0 {
        bytes = [0, 9, random.u8(0..3), 0, 0, 0, 0, 0];
    }
    SetupPacket(bytes)
}

fn extreme(random: &mut Rng) -> u16 {
    EXTREMES[random.usize(..EXTREMES.len())]
}

fn number(random: &mut Rng) -> u16 {
    if random.bool() {
        extreme(random)
    } else {
        random.u16(..)
    }
}

/// Makes one thing wrong.
pub(crate) fn corrupt(entry: &mut [u8; URB_ENTRY], random: &mut Rng) {
    let segment = SEGS + SEGMENT * random.usize(0..16);
    let put = |entry: &mut [u8; URB_ENTRY], at: usize, value: u16| {
        entry[at..at + 2].copy_from_slice(&value.to_le_bytes());
    };
    match random.u8(0..12) {
        0 => put(entry, 0, number(random)),
        1 => put(entry, BUFFER_SEGS, number(random)),
        2 => put(entry, FLAGS, number(random)),
        3 => put(entry, BUFFER_LENGTH, number(random)),
        4 => {
            let mut pipe = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let (mask, value) = pipe_field(random);
            pipe = (pipe & !mask) | (value & mask);
            entry[PIPE..PIPE + 4].copy_from_slice(&pipe.to_le_bytes());
        }
        5 | 6 => put(entry, SPECIFIC + 2 * random.usize(0..4), number(random)),
        7 => entry[segment..segment + 4].copy_from_slice(&void_grant(random).to_le_bytes()),
        8 => put(entry, segment + 4, number(random)),
        9 => put(entry, segment + 6, number(random)),
        // A segment twice: they overlap.
        10 => {
            let from = SEGS + SEGMENT * random.usize(0..16);
            entry.copy_within(from..from + SEGMENT, segment);
        }
        // Any byte, but none of a grant number.
        _ => entry[random.usize(0..SEGS)] = random.u8(..),
    }
}

/// Bits of the pipe, and what to put there.
fn pipe_field(random: &mut Rng) -> (u32, u32) {
    let any = random.u32(..);
    match random.u8(0..8) {
        0 => (0x1f, [0, 1, 2, 31][random.usize(0..4)]),
        1 => (0x20, u32::MAX),
        2 => (0x40, u32::MAX),
        3 => (0x80, any),
        // Address 0 is a reset, which takes its time.
        4 if random.u8(0..16) != 0 => (0x7f << 8, any | 0x100),
        4 => (0x7f << 8, 0),
        5 => (0x0f << 15, any),
        6 => (3 << 30, any),
        _ => (0x07ff << 19, any),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corrupted(seed: u64) -> Vec<[u8; URB_ENTRY]> {
        let mut random = Rng::with_seed(seed);
        let entries = (0..2000).map(|_| {
            let mut entry = [0; URB_ENTRY];
            corrupt(&mut entry, &mut random);
            entry
        });
        entries.collect()
    }

    #[test]
    fn a_seed_can_be_played_again() {
        assert_eq!(corrupted(1), corrupted(1));
        assert_ne!(corrupted(1), corrupted(2));
    }

    /// Every field that a request has is attacked, and what comes out is refused
    /// or not, but parsed.
    #[test]
    fn every_byte_but_the_last_padding_is_reached() {
        let entries = corrupted(3);
        for at in 0..URB_ENTRY {
            assert!(
                entries.iter().any(|entry| entry[at] != 0),
                "byte {at} stays as it was"
            );
        }
        assert!(entries.iter().any(|entry| Request::parse(entry).is_err()));
        assert!(entries.iter().any(|entry| Request::parse(entry).is_ok()));
    }

    #[test]
    fn wrong_grants_are_none_of_the_guests_own() {
        let mut random = Rng::with_seed(4);
        assert!((0..10_000).all(|_| void_grant(&mut random) >= 1 << 20));
    }
}
