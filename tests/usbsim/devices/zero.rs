// SPDX-License-Identifier: GPL-2.0

//! Source and sink, as the kernel's Gadget Zero has them (f_sourcesink.c), for
//! its usbtest driver: bulk endpoints always, isochronous ones in alternate
//! setting 1.

use usbif::SetupPacket;

use super::Options;
use crate::chapter9::Chapter9;
use crate::descriptor::{Configuration, Endpoint, Identity, BULK, ISOCHRONOUS, PLAIN};
use crate::device::{Answer, Device, Speed};

const VENDOR_SPECIFIC: [u8; 3] = [0xff, 0, 0];
/// Vendor requests of usbtest's case 14: store bytes, and return them.
const STORE: u8 = 0x5b;
const RETURN: u8 = 0x5c;

/// What endpoints send and expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// usbtest's pattern=0.
    Zeroes,
    /// usbtest's pattern=1: each packet counts from 0 to 62, again and again.
    Mod63,
    /// As Mod63, but an isochronous packet starts with its number.
    Numbered,
}

impl Pattern {
    /// A byte by its place in its packet.
    fn byte(self, at: usize) -> u8 {
        if self == Pattern::Zeroes {
            0
        } else {
            (at % 63) as u8
        }
    }

    fn packet(self, number: u32, length: usize) -> Vec<u8> {
        let mut data: Vec<u8> = (0..length).map(|at| self.byte(at)).collect();
        if let (Pattern::Numbered, Some(start)) = (self, data.first_chunk_mut::<4>()) {
            *start = number.to_le_bytes();
        }
        data
    }
}

/// What has come into the sinks.
#[derive(Clone, Copy, Debug, Default)]
struct Sink {
    packets: u64,
    wrong: u64,
}

/// A Gadget Zero with isochronous endpoints.
#[derive(Debug)]
pub struct Zero {
    speed: Speed,
    chapter9: Chapter9,
    pattern: Pattern,
    stored: Vec<u8>,
    /// Number of the next isochronous packet, in and out.
    sent: u32,
    taken: u32,
    sink: Sink,
}

impl Zero {
    /// Takes the options that [`super::USAGE`] tells.
    ///
    /// # Errors
    /// If one does not fit.
    pub fn new(options: &mut Options) -> Result<Self, String> {
        let speed = options.speed(&[Speed::Full, Speed::High], Speed::High)?;
        let high = speed == Speed::High;
        let pattern = match options.number("pattern", 0)? {
            0 => Pattern::Zeroes,
            1 => Pattern::Mod63,
            2 => Pattern::Numbered,
            other => return Err(format!("no pattern={other}")),
        };
        // One packet in a frame at either speed.
        let interval = options.number("interval", if high { 4 } else { 1 })?;
        let max_packet: u16 = options.number("maxpacket", if high { 1024 } else { 512 })?;
        let mult: u16 = options.number("mult", 1)?;
        if !(1..=16).contains(&interval)
            || !(1..=1024).contains(&max_packet)
            || !(1..=3).contains(&mult)
        {
            return Err("no such endpoint".to_owned());
        }
        let bulk = |address| Endpoint {
            address,
            attributes: BULK,
            max_packet: if high { 512 } else { 64 },
            interval: 0,
        };
        let iso = |address| Endpoint {
            address,
            attributes: ISOCHRONOUS,
            max_packet: max_packet | ((mult - 1) << 11),
            interval,
        };
        let configuration = Configuration::new(PLAIN)
            .setting(0, 0, VENDOR_SPECIFIC)
            .endpoint(bulk(0x81), &[])
            .endpoint(bulk(0x01), &[])
            .setting(0, 1, VENDOR_SPECIFIC)
            .endpoint(bulk(0x81), &[])
            .endpoint(bulk(0x01), &[])
            .endpoint(iso(0x82), &[])
            .endpoint(iso(0x02), &[]);
        let identity = Identity {
            class: VENDOR_SPECIFIC,
            vendor: 0x0525,
            product: 0xa4a0,
        };
        Ok(Zero {
            speed,
            chapter9: Chapter9::new(speed, identity, "Simulated source and sink", configuration),
            pattern,
            stored: Vec::new(),
            sent: 0,
            taken: 0,
            sink: Sink::default(),
        })
    }

    fn check(&mut self, fits: bool) {
        self.sink.packets += 1;
        self.sink.wrong += u64::from(!fits);
    }
}

impl Device for Zero {
    fn speed(&self) -> Speed {
        self.speed
    }

    fn chapter9(&mut self) -> &mut Chapter9 {
        &mut self.chapter9
    }

    fn request(&mut self, setup: &SetupPacket, data: &[u8]) -> Answer {
        match (
            setup.request_type(),
            setup.request(),
            setup.value(),
            setup.index(),
        ) {
            (0x40, STORE, 0, 0) => {
                self.stored = data.to_vec();
                Answer::Taken
            }
            (0xc0, RETURN, 0, 0) => Answer::Send(self.stored.clone()),
            _ => Answer::Stall,
        }
    }

    fn selected(&mut self) {
        (self.sent, self.taken) = (0, 0);
    }

    fn send(&mut self, endpoint: Endpoint, room: usize) -> Answer {
        // Whole packets only: a read that ends within one gets babble, as from any source.
        let payload = endpoint.payload();
        let whole = room.next_multiple_of(payload);
        Answer::Send(
            (0..whole)
                .map(|at| self.pattern.byte(at % payload))
                .collect(),
        )
    }

    fn take(&mut self, endpoint: Endpoint, data: &[u8]) -> Answer {
        let payload = endpoint.payload();
        self.check(
            data.iter()
                .enumerate()
                .all(|(at, byte)| *byte == self.pattern.byte(at % payload)),
        );
        Answer::Taken
    }

    fn send_packet(&mut self, endpoint: Endpoint, _room: usize) -> Vec<u8> {
        let data = self.pattern.packet(self.sent, endpoint.payload());
        self.sent = self.sent.wrapping_add(1);
        data
    }

    fn take_packet(&mut self, _endpoint: Endpoint, data: &[u8]) {
        let expected = self.pattern.packet(self.taken, data.len());
        self.taken = self.taken.wrapping_add(1);
        self.check(data == expected);
    }

    fn command(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["sink"] => Ok(format!(
                "taken={} wrong={}\n",
                self.sink.packets, self.sink.wrong
            )),
            _ => Err("zero knows sink and stats".to_owned()),
        }
    }
}
