// SPDX-License-Identifier: GPL-2.0

//! Requests: what a frontend asks for.

use crate::bytes::{array, put, u16_at, u32_at};
use crate::segment::SEGMENT;
use crate::{
    Indirect, PortNumber, Refused, Segment, Segments, SetupPacket, MAX_SEGMENTS, URB_ENTRY,
};

/// Which way the data goes, as seen by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the device.
    Out,
    /// From the device.
    In,
}

/// A request of the urb ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Do a transfer.
    Submit(Submit),
    /// Do a transfer whose segments have to be fetched first.
    Indirect(Indirect),
    /// Give an earlier request back early; both are answered.
    Unlink {
        /// Id of this request.
        id: u16,
        /// Id of the request to give back.
        target: u16,
        /// Port bits as they came, 0..=31: an unlink is found by its target.
        port: u8,
        /// Device address bits as they came, 0..=127.
        device: u8,
    },
    /// Suspend the device on a port, until it is spoken to or wakes up by itself.
    /// An extension of the interface: see `feature-port-suspend`.
    Suspend {
        /// Id of this request.
        id: u16,
        /// Port of the virtual root hub.
        port: PortNumber,
    },
}

/// A transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Chosen by the frontend, returned with the response.
    pub id: u16,
    /// Port of the virtual root hub.
    pub port: PortNumber,
    /// USB address of the device as the guest gave it, 0..=127.
    pub device: u8,
    /// Endpoint number, 0..=15.
    pub endpoint: u8,
    /// Direction of the data stage.
    pub direction: Direction,
    /// A transfer that ends early counts as failed (URB_SHORT_NOT_OK).
    pub short_not_ok: bool,
    /// What only this type of transfer has.
    pub kind: Kind,
    /// Where the data is.
    pub data: Segments,
}

/// What only one type of transfer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// It lives in one place for each slot, and this crate has no heap.
#[expect(clippy::large_enum_variant)]
pub enum Kind {
    /// Control. The data segments hold exactly wLength bytes.
    Control(SetupPacket),
    /// Bulk.
    Bulk,
    /// Interrupt.
    Interrupt {
        /// What the guest's core computed, in frames or microframes. The
        /// backend takes the device's own.
        interval: u16,
    },
    /// Isochronous.
    Isochronous {
        /// As for an interrupt transfer.
        interval: u16,
        /// Frame to start in, unless as soon as possible.
        start_frame: u16,
        /// Packets, at least 1.
        packets: u16,
        /// Where the packets' descriptors are: 16 bytes for each packet.
        descriptors: Segments,
    },
}

// Byte offsets in struct xenusb_urb_request.
const ID: usize = 0;
const BUFFER_SEGS: usize = 2;
const PIPE: usize = 4;
const FLAGS: usize = 8;
const BUFFER_LENGTH: usize = 10;
const SPECIFIC: usize = 12;
const SEGS: usize = 20;

// Bits of the pipe (usbif.h, "USB pipe in xenusb_request").
const PIPE_PORT: u32 = 0x1f;
const PIPE_UNLINK: u32 = 0x20;
const PIPE_IN: u32 = 0x80;
const DEVICE_SHIFT: u32 = 8;
const DEVICE_MASK: u32 = 0x7f;
const ENDPOINT_SHIFT: u32 = 15;
const ENDPOINT_MASK: u32 = 0x0f;
const TYPE_SHIFT: u32 = 30;
const TYPE_ISOCHRONOUS: u32 = 0;
const TYPE_INTERRUPT: u32 = 1;
const TYPE_CONTROL: u32 = 2;
const TYPE_BULK: u32 = 3;

/// `XENUSB_SHORT_NOT_OK`. Flags without a meaning are ignored.
const SHORT_NOT_OK: u16 = 1;
/// The segments lie in a list: see [`Indirect`].
const INDIRECT: u16 = 0x8000;
/// No transfer: see [`Request::Suspend`].
const SUSPEND: u16 = 0x4000;

impl Request {
    /// Checks an entry that was copied out of the ring.
    ///
    /// # Errors
    /// [`Refused`] if it is not a request that this interface allows.
    pub fn parse(entry: &[u8; URB_ENTRY]) -> Result<Self, Refused> {
        let id = u16_at(entry, ID);
        let refuse = |reason| Err(Refused { id, reason });
        let pipe = u32_at(entry, PIPE);
        // Masked to 5 and 7 bits: neither loses anything.
        let port = (pipe & PIPE_PORT) as u8;
        let device = (pipe.wrapping_shr(DEVICE_SHIFT) & DEVICE_MASK) as u8;
        if pipe & PIPE_UNLINK != 0 {
            return Ok(Self::Unlink {
                id,
                target: u16_at(entry, SPECIFIC),
                port,
                device,
            });
        }

        let Some(port) = PortNumber::new(port) else {
            return refuse("port 0");
        };
        let flags = u16_at(entry, FLAGS);
        if flags & SUSPEND != 0 {
            return Ok(Self::Suspend { id, port });
        }
        let indirect = flags & INDIRECT != 0;
        let data_segs = if indirect {
            0
        } else {
            usize::from(u16_at(entry, BUFFER_SEGS))
        };
        let Some(data) = segments(entry, 0, data_segs) else {
            return refuse("bad data segment");
        };
        let length = u16_at(entry, BUFFER_LENGTH);
        if !indirect && length != stated(&data) {
            return refuse("buffer_length is not the sum of the segments");
        }

        let mut direction = if pipe & PIPE_IN != 0 {
            Direction::In
        } else {
            Direction::Out
        };
        let kind = match pipe.wrapping_shr(TYPE_SHIFT) {
            TYPE_CONTROL | TYPE_ISOCHRONOUS if indirect => {
                return refuse("only bulk and interrupt requests can be indirect");
            }
            TYPE_CONTROL => {
                let setup = SetupPacket(array(entry, SPECIFIC));
                if u32::from(setup.length()) != data.total() {
                    return refuse("wLength is not the length of the data");
                }
                direction = setup.direction();
                Kind::Control(setup)
            }
            TYPE_BULK => Kind::Bulk,
            TYPE_INTERRUPT => Kind::Interrupt {
                interval: u16_at(entry, SPECIFIC),
            },
            _ => {
                let packets = u16_at(entry, SPECIFIC.saturating_add(4));
                let descriptor_segs = usize::from(u16_at(entry, SPECIFIC.saturating_add(6)));
                let Some(descriptors) = segments(entry, data_segs, descriptor_segs) else {
                    return refuse("bad descriptor segment");
                };
                let needed = u32::from(packets).saturating_mul(crate::iso::DESCRIPTOR as u32);
                if packets == 0 || descriptors.total() != needed {
                    return refuse("descriptor segments do not match the packets");
                }
                Kind::Isochronous {
                    interval: u16_at(entry, SPECIFIC),
                    start_frame: u16_at(entry, SPECIFIC.saturating_add(2)),
                    packets,
                    descriptors,
                }
            }
        };
        let submit = Submit {
            id,
            port,
            device,
            endpoint: (pipe.wrapping_shr(ENDPOINT_SHIFT) & ENDPOINT_MASK) as u8,
            direction,
            short_not_ok: flags & SHORT_NOT_OK != 0,
            kind,
            data,
        };
        if !indirect {
            return Ok(Self::Submit(submit));
        }
        let list = Segment::read(entry, segment_offset(0));
        Indirect::parse(submit, list, u16_at(entry, BUFFER_SEGS), length).map(Self::Indirect)
    }

    /// The id, whatever the request is.
    #[must_use]
    pub fn id(&self) -> u16 {
        match self {
            Self::Submit(submit) => submit.id,
            Self::Indirect(indirect) => indirect.submit().id,
            Self::Unlink { id, .. } | Self::Suspend { id, .. } => *id,
        }
    }

    /// The entry to put on the ring.
    #[must_use]
    pub fn encode(&self) -> [u8; URB_ENTRY] {
        let mut entry = [0; URB_ENTRY];
        put(&mut entry, ID, &self.id().to_le_bytes());
        let pipe = match self {
            Self::Unlink {
                target,
                port,
                device,
                ..
            } => {
                put(&mut entry, SPECIFIC, &target.to_le_bytes());
                PIPE_UNLINK | (u32::from(*port) & PIPE_PORT) | device_bits(*device)
            }
            Self::Suspend { port, .. } => {
                put(&mut entry, FLAGS, &SUSPEND.to_le_bytes());
                u32::from(port.get())
            }
            Self::Submit(submit) => return submit.entry(),
            Self::Indirect(indirect) => return indirect.entry(),
        };
        put(&mut entry, PIPE, &pipe.to_le_bytes());
        entry
    }
}

impl Submit {
    /// The setup packet of a request to endpoint 0, through which a device is
    /// addressed and configured (USB 2.0, 5.5).
    #[must_use]
    pub fn default_control(&self) -> Option<&SetupPacket> {
        match &self.kind {
            Kind::Control(setup) if self.endpoint == 0 => Some(setup),
            _ => None,
        }
    }

    /// The entry to put on the ring, which holds the segments.
    #[must_use]
    pub fn entry(&self) -> [u8; URB_ENTRY] {
        let mut entry = self.encode(0, self.data.len() as u16, stated(&self.data));
        put_segments(&mut entry, 0, &self.data);
        entry
    }

    /// The entry for a list of segments that [`Self::write_list`] has written to where
    /// `list` begins.
    #[must_use]
    pub fn entry_with_list(&self, list: Segment) -> [u8; URB_ENTRY] {
        self.indirect(list, self.data.len() as u16, stated(&self.data))
    }

    /// The list of the segments, at the start of `out`.
    pub fn write_list(&self, out: &mut [u8; Indirect::LIST]) {
        for (index, segment) in self.data.as_slice().iter().enumerate() {
            segment.write(out, index.saturating_mul(SEGMENT));
        }
    }

    /// An entry that says where a list of so many segments is.
    pub(crate) fn indirect(&self, list: Segment, count: u16, stated: u16) -> [u8; URB_ENTRY] {
        let mut entry = self.encode(INDIRECT, count, stated);
        // At most 32 of 8 bytes.
        let length = count.wrapping_mul(SEGMENT as u16);
        Segment { length, ..list }.write(&mut entry, segment_offset(0));
        entry
    }

    /// All but where the data is.
    fn encode(&self, flags: u16, count: u16, stated: u16) -> [u8; URB_ENTRY] {
        let mut entry = [0; URB_ENTRY];
        let flags = flags | if self.short_not_ok { SHORT_NOT_OK } else { 0 };
        put(&mut entry, ID, &self.id.to_le_bytes());
        put(&mut entry, FLAGS, &flags.to_le_bytes());
        put(&mut entry, BUFFER_SEGS, &count.to_le_bytes());
        put(&mut entry, BUFFER_LENGTH, &stated.to_le_bytes());

        let kind = match &self.kind {
            Kind::Control(setup) => {
                put(&mut entry, SPECIFIC, &setup.0);
                TYPE_CONTROL
            }
            Kind::Bulk => TYPE_BULK,
            Kind::Interrupt { interval } => {
                put(&mut entry, SPECIFIC, &interval.to_le_bytes());
                TYPE_INTERRUPT
            }
            Kind::Isochronous {
                interval,
                start_frame,
                packets,
                descriptors,
            } => {
                let count = descriptors.len() as u16;
                for (at, field) in [*interval, *start_frame, *packets, count]
                    .iter()
                    .enumerate()
                {
                    let at = SPECIFIC.saturating_add(at.saturating_mul(2));
                    put(&mut entry, at, &field.to_le_bytes());
                }
                put_segments(&mut entry, self.data.len(), descriptors);
                TYPE_ISOCHRONOUS
            }
        };
        let direction = match self.direction {
            Direction::In => PIPE_IN,
            Direction::Out => 0,
        };
        let pipe = u32::from(self.port.get())
            | direction
            | device_bits(self.device)
            | (u32::from(self.endpoint) & ENDPOINT_MASK).wrapping_shl(ENDPOINT_SHIFT)
            | kind.wrapping_shl(TYPE_SHIFT);
        put(&mut entry, PIPE, &pipe.to_le_bytes());
        entry
    }
}

/// The `buffer_length` of segments. The field has 16 bits, of which 65,536 bytes,
/// and more in an indirect request, leave the low ones.
pub(crate) fn stated(data: &Segments) -> u16 {
    (data.total() & 0xffff) as u16
}

fn device_bits(device: u8) -> u32 {
    (u32::from(device) & DEVICE_MASK).wrapping_shl(DEVICE_SHIFT)
}

fn segment_offset(index: usize) -> usize {
    SEGS.saturating_add(index.saturating_mul(SEGMENT))
}

/// Segments `first..first + count` of an entry, if it has so many and each is
/// sound.
fn segments(entry: &[u8; URB_ENTRY], first: usize, count: usize) -> Option<Segments> {
    let end = first.checked_add(count).filter(|&n| n <= MAX_SEGMENTS)?;
    let mut out = Segments::EMPTY;
    for index in first..end {
        out.push(Segment::read(entry, segment_offset(index))).ok()?;
    }
    Some(out)
}

fn put_segments(entry: &mut [u8; URB_ENTRY], first: usize, segments: &Segments) {
    for (index, segment) in (first..MAX_SEGMENTS).zip(segments.as_slice()) {
        segment.write(entry, segment_offset(index));
    }
}
