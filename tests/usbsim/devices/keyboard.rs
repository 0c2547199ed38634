// SPDX-License-Identifier: GPL-2.0

//! A HID boot keyboard at low speed that types what it is told.
//!
//! It says that it can wake its host. USB/IP has no message for that, so a key
//! pressed while it is suspended is kept, and reported once its host resumes it.

use std::collections::VecDeque;

use usbif::SetupPacket;

use crate::chapter9::Chapter9;
use crate::descriptor::{Configuration, Endpoint, Identity, INTERRUPT, PLAIN, REMOTE_WAKEUP};
use crate::device::{Answer, Device, Speed};

const BOOT_KEYBOARD: [u8; 3] = [3, 1, 1];
const HID: u8 = 0x21;
const REPORT: u8 = 0x22;

/// Class requests (HID 1.11, section 7.2).
const GET_REPORT: u8 = 1;
const GET_IDLE: u8 = 2;
const GET_PROTOCOL: u8 = 3;
const SET_REPORT: u8 = 9;
const SET_IDLE: u8 = 10;
const SET_PROTOCOL: u8 = 11;

/// The report descriptor of HID 1.11, appendix B.1, without the lights:
/// eight modifiers, a byte of nothing, six keys.
pub(super) const REPORT_DESCRIPTOR: &[u8] = &[
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01,
    0x75, 0x01, //
    0x95, 0x08, 0x81, 0x02, 0x95, 0x01, 0x75, 0x08, 0x81, 0x01, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00,
    0x25, 0x65, //
    0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xc0,
];

const RELEASED: [u8; 8] = [0; 8];

fn pressed(usage: u8) -> [u8; 8] {
    [0, 0, usage, 0, 0, 0, 0, 0]
}

/// The HID descriptor, with the length of the report descriptor.
#[must_use]
pub(super) fn hid(length: u16) -> Vec<u8> {
    let [low, high] = length.to_le_bytes();
    vec![9, HID, 0x11, 0x01, 0, 1, REPORT, low, high]
}

/// A keyboard.
#[derive(Debug)]
pub struct Keyboard {
    chapter9: Chapter9,
    reports: VecDeque<[u8; 8]>,
}

impl Keyboard {
    /// A keyboard with no key pressed.
    #[must_use]
    pub fn new() -> Self {
        let descriptor = hid(REPORT_DESCRIPTOR.len() as u16);
        let configuration = Configuration::new(PLAIN | REMOTE_WAKEUP)
            .setting(0, 0, BOOT_KEYBOARD)
            .class(HID, &descriptor[2..])
            .endpoint(
                Endpoint {
                    address: 0x81,
                    attributes: INTERRUPT,
                    max_packet: 8,
                    interval: 10,
                },
                &[],
            );
        let identity = Identity {
            class: [0; 3],
            vendor: 0x0525,
            product: 0xa4b2,
        };
        let chapter9 = Chapter9::new(Speed::Low, identity, "Simulated keyboard", configuration)
            .with(HID, &descriptor)
            .with(REPORT, REPORT_DESCRIPTOR);
        Keyboard {
            chapter9,
            reports: VecDeque::new(),
        }
    }
}

impl Default for Keyboard {
    fn default() -> Self {
        Keyboard::new()
    }
}

impl Device for Keyboard {
    fn speed(&self) -> Speed {
        Speed::Low
    }

    fn chapter9(&mut self) -> &mut Chapter9 {
        &mut self.chapter9
    }

    fn request(&mut self, setup: &SetupPacket, _data: &[u8]) -> Answer {
        match (setup.request_type(), setup.request()) {
            (0xa1, GET_REPORT) => Answer::Send(RELEASED.to_vec()),
            (0xa1, GET_IDLE) => Answer::Send(vec![0]),
            (0xa1, GET_PROTOCOL) => Answer::Send(vec![1]),
            (0x21, SET_REPORT | SET_IDLE | SET_PROTOCOL) => Answer::Taken,
            _ => Answer::Stall,
        }
    }

    fn send(&mut self, _endpoint: Endpoint, _room: usize) -> Answer {
        self.reports
            .pop_front()
            .map_or(Answer::Later, |report| Answer::Send(report.to_vec()))
    }

    fn command(&mut self, words: &[&str]) -> Result<String, String> {
        match words {
            ["press", usage] => {
                let usage = usage
                    .parse()
                    .map_err(|_| format!("{usage} is no HID usage"))?;
                self.reports.extend([pressed(usage), RELEASED]);
                Ok(String::new())
            }
            ["wakeup"] => Ok(format!("{}\n", self.chapter9.remote_wakeup())),
            _ => Err("keyboard knows press USAGE, wakeup and stats".to_owned()),
        }
    }
}
