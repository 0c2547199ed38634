// SPDX-License-Identifier: GPL-2.0

//! The honest device: one of the simulator's, in the place of hardware.

use crate::xen::foreign::Foreign;
use crate::Result;
use usbif::{Direction, IsoDescriptor, Kind, Response, Segment, Segments, Status, Submit};
use usbsim::device::{Answer, Device};
use usbsim::devices::{make, Options};

/// A source and sink of bulk, control and isochronous transfers, as the kernel's
/// usbtest driver likes it.
pub(crate) struct Honest {
    device: Box<dyn Device>,
    foreign: Foreign,
    configured: bool,
}

impl Honest {
    pub(crate) fn new(foreign: Foreign) -> Result<Self> {
        let mut options = Options::parse(&["speed=high"])?;
        Ok(Self {
            device: make("zero", &mut options)?,
            foreign,
            configured: false,
        })
    }

    /// Whether the guest has configured it.
    pub(crate) fn is_configured(&self) -> bool {
        self.configured
    }

    /// It was reset, or pulled out.
    pub(crate) fn reset(&mut self) {
        self.configured = false;
    }

    /// Does a transfer, data and all; returns what is to be said about it.
    pub(crate) fn transfer(&mut self, submit: &Submit) -> Result<Response> {
        if let Kind::Isochronous {
            packets,
            descriptors,
            ..
        } = &submit.kind
        {
            return self.packets(submit, *packets, descriptors);
        }
        let room = submit.data.total() as usize;
        let data = match submit.direction {
            Direction::Out => self.fetch(&submit.data)?,
            Direction::In => Vec::new(),
        };
        let (status, moved) = match self.answer(submit, &data) {
            Answer::Send(mut bytes) => {
                bytes.truncate(room);
                self.store(&submit.data, &bytes)?;
                (Status::Ok, bytes.len())
            }
            Answer::Taken => (Status::Ok, data.len()),
            Answer::Later | Answer::Stall => (Status::Stall, 0),
            Answer::Broken | Answer::Babble | Answer::Vanish => (Status::IoError, 0),
        };
        Ok(Response {
            actual_length: u32::try_from(moved)?,
            ..Response::plain(submit.id, status)
        })
    }

    fn answer(&mut self, submit: &Submit, data: &[u8]) -> Answer {
        let input = match submit.direction {
            Direction::In => 0x80,
            Direction::Out => 0,
        };
        let address = submit.endpoint | input;
        match &submit.kind {
            Kind::Control(setup) => match setup.0 {
                // The host's controller has addressed it long ago.
                [0, 5, ..] => Answer::Taken,
                _ => {
                    if let [0, 9, value, ..] = setup.0 {
                        self.configured = value == 1;
                    }
                    self.device.control(setup, data)
                }
            },
            _ => match self.device.chapter9().endpoint(address) {
                None => Answer::Broken,
                Some(_) if self.device.chapter9().halted(address) => Answer::Stall,
                Some(endpoint) if input != 0 => {
                    self.device.send(endpoint, submit.data.total() as usize)
                }
                Some(endpoint) => self.device.take(endpoint, data),
            },
        }
    }

    /// Isochronous packets; each says for itself what became of it.
    fn packets(&mut self, submit: &Submit, count: u16, list: &Segments) -> Result<Response> {
        let address = submit.endpoint
            | if submit.direction == Direction::In {
                0x80
            } else {
                0
            };
        let Some(endpoint) = self.device.chapter9().endpoint(address) else {
            return Ok(Response::plain(submit.id, Status::Invalid));
        };
        let mut packets = self.descriptors(list)?;
        let mut data = match submit.direction {
            Direction::Out => self.fetch(&submit.data)?,
            Direction::In => vec![0; submit.data.total() as usize],
        };
        let mut moved = 0;
        for packet in packets.iter_mut().take(usize::from(count)) {
            let (from, length) = (packet.offset as usize, packet.length as usize);
            let place = data
                .get_mut(from..from + length)
                .ok_or("a packet leaves the request's data")?;
            packet.status = 0;
            packet.actual_length = packet.length;
            if submit.direction == Direction::In {
                let mut bytes = self.device.send_packet(endpoint, length);
                bytes.truncate(length);
                place[..bytes.len()].copy_from_slice(&bytes);
                packet.actual_length = u32::try_from(bytes.len())?;
            } else {
                self.device.take_packet(endpoint, place);
            }
            moved += packet.actual_length;
        }
        if submit.direction == Direction::In {
            self.store(&submit.data, &data)?;
        }
        self.set_descriptors(list, &packets)?;
        Ok(Response {
            actual_length: moved,
            ..Response::plain(submit.id, Status::Ok)
        })
    }

    /// The packets' descriptors as they lie in the guest's pages.
    pub(crate) fn descriptors(&self, list: &Segments) -> Result<Vec<IsoDescriptor>> {
        let bytes = self.fetch(list)?;
        let parse = |bytes: &[u8]| Ok(IsoDescriptor::parse(bytes.try_into()?));
        bytes.chunks_exact(IsoDescriptor::SIZE).map(parse).collect()
    }

    pub(crate) fn set_descriptors(&self, list: &Segments, packets: &[IsoDescriptor]) -> Result<()> {
        let bytes: Vec<u8> = packets.iter().flat_map(IsoDescriptor::encode).collect();
        self.store(list, &bytes)
    }

    fn fetch(&self, from: &Segments) -> Result<Vec<u8>> {
        let mut all = vec![0; from.total() as usize];
        let mut rest = all.as_mut_slice();
        for Segment {
            gref,
            offset,
            length,
        } in from.as_slice()
        {
            let (part, behind) = rest.split_at_mut(usize::from(*length));
            self.foreign.read(*gref, *offset, part)?;
            rest = behind;
        }
        Ok(all)
    }

    /// Writes bytes into pages of the guest's, as far as they go.
    pub(crate) fn store(&self, to: &Segments, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        for Segment {
            gref,
            offset,
            length,
        } in to.as_slice()
        {
            let (part, behind) = rest.split_at(rest.len().min(usize::from(*length)));
            self.foreign.write(*gref, *offset, part)?;
            rest = behind;
        }
        Ok(())
    }
}
