// SPDX-License-Identifier: GPL-2.0

//! Sends back what it was sent, one transfer at a time: what is read from an IN
//! endpoint is what was written to the OUT endpoint of its number.
//!
//! Reads wait for writes, and writes wait when a few transfers have not been
//! read: whoever takes transfers back finds most of them at the device.

use std::collections::VecDeque;

use usbif::SetupPacket;

use crate::chapter9::Chapter9;
use crate::descriptor::{Configuration, Endpoint, Identity, BULK, INTERRUPT, PLAIN};
use crate::device::{Answer, Device, Speed};

const VENDOR_SPECIFIC: [u8; 3] = [0xff, 0, 0];
/// Numbers of the endpoints, and their type.
const PAIRS: [(u8, u8); 3] = [(1, BULK), (2, BULK), (3, INTERRUPT)];
/// Most transfers that wait in one pair of endpoints to be read.
const KEPT: usize = 4;
const IN: u8 = 0x80;

/// The device.
#[derive(Debug)]
pub struct Echo {
    chapter9: Chapter9,
    /// What has not been read, by endpoint number.
    kept: [VecDeque<Vec<u8>>; 4],
}

impl Echo {
    /// With nothing to be read.
    #[must_use]
    pub fn new() -> Self {
        let mut configuration = Configuration::new(PLAIN).setting(0, 0, VENDOR_SPECIFIC);
        for (number, attributes) in PAIRS {
            for address in [number | IN, number] {
                let end = Endpoint {
                    address,
                    attributes,
                    max_packet: 512,
                    interval: if attributes == INTERRUPT { 4 } else { 0 },
                };
                configuration = configuration.endpoint(end, &[]);
            }
        }
        let identity = Identity {
            class: VENDOR_SPECIFIC,
            vendor: 0x0525,
            product: 0xa4b3,
        };
        Echo {
            chapter9: Chapter9::new(Speed::High, identity, "Simulated echo", configuration),
            kept: Default::default(),
        }
    }
}

impl Default for Echo {
    fn default() -> Self {
        Echo::new()
    }
}

impl Device for Echo {
    fn speed(&self) -> Speed {
        Speed::High
    }

    fn chapter9(&mut self) -> &mut Chapter9 {
        &mut self.chapter9
    }

    fn request(&mut self, _setup: &SetupPacket, _data: &[u8]) -> Answer {
        Answer::Stall
    }

    fn selected(&mut self) {
        self.kept = Default::default();
    }

    fn send(&mut self, endpoint: Endpoint, _room: usize) -> Answer {
        let kept = self.kept.get_mut(usize::from(endpoint.address & !IN));
        match kept.and_then(VecDeque::pop_front) {
            Some(data) => Answer::Send(data),
            None => Answer::Later,
        }
    }

    fn take(&mut self, endpoint: Endpoint, data: &[u8]) -> Answer {
        match self.kept.get_mut(usize::from(endpoint.address)) {
            Some(kept) if kept.len() < KEPT => {
                kept.push_back(data.to_vec());
                Answer::Taken
            }
            _ => Answer::Later,
        }
    }
}
