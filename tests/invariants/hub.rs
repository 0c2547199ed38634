// SPDX-License-Identifier: GPL-2.0

//! The root hub: whatever is asked, it answers or stalls, and its state stays
//! one that the hub class knows.

use crate::Choices;
use usbfront_core::{ConnectError, RootHub, UsbVersion};
use usbif::{PortNumber, Speed};

const GET_PORT_STATUS: u16 = 0xa300;
const REQUESTS: [u16; 8] = [
    0x2001,
    0x2301,
    0xa006,
    0xa000,
    GET_PORT_STATUS,
    0x2003,
    0x2303,
    0x1234,
];

/// One thing that happens to a hub.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The hub class asks, some milliseconds later.
    Control {
        /// bmRequestType and bRequest.
        request: u16,
        /// wValue.
        value: u16,
        /// wIndex.
        index: u16,
        /// Milliseconds since the last step.
        later: u16,
        /// Room for the answer.
        room: usize,
    },
    /// The backend says what is on a port.
    Connect(u8, u8),
    /// The backend is told of a suspension, if there is one to tell.
    Tell,
    /// It answers about a port.
    Answer(u8, bool),
    /// Everything goes.
    DisconnectAll,
}

fn is_suspended(hub: &mut RootHub, port: PortNumber, now: u64) -> bool {
    let mut answer = [0; 4];
    hub.control(GET_PORT_STATUS, 0, port.get().into(), now, &mut answer)
        .unwrap();
    answer[0] & 0x04 != 0
}

/// Checks the state that the hub class sees.
fn sound(hub: &mut RootHub, version: UsbVersion, now: u64) {
    let mut changed = 0u32;
    for number in 1..=hub.count() {
        let mut answer = [0xee; 4];
        let asked = hub.control(GET_PORT_STATUS, 0, number.into(), now, &mut answer);
        assert_eq!(asked, Ok(4));
        let [s0, s1, c0, c1] = answer;
        let status = u16::from_le_bytes([s0, s1]);
        let change = u16::from_le_bytes([c0, c1]);
        assert_eq!(change & !0x001f, 0);
        assert_eq!(status & !0x0717, 0);
        // Power, or nothing; enabled means connected; suspended means enabled.
        assert!(status & 0x0100 != 0 || (status == 0 && change == 0));
        assert!(status & 0x0002 == 0 || status & 0x0001 != 0);
        assert!(status & 0x0004 == 0 || status & 0x0002 != 0);
        assert!(status & 0x0600 != 0x0600);
        assert!(version == UsbVersion::Usb20 || status & 0x0400 == 0);
        changed |= u32::from(change != 0) << number;
    }
    let mut bitmap = [0; 4];
    let length = hub.status_data(now, &mut bitmap);
    assert_eq!(length != 0, changed != 0);
    assert!(length == 0 || length == 1 + usize::from(hub.count()) / 8);
    assert_eq!(u32::from_le_bytes(bitmap), changed);
}

/// Does the steps to a hub of `count` ports.
pub fn follow(
    count: u8,
    version: UsbVersion,
    carries: bool,
    steps: impl IntoIterator<Item = Step>,
) {
    let Some(mut hub) = RootHub::new(count, version) else {
        assert!(!(1..=31).contains(&count));
        return;
    };
    hub.carry_suspend(carries);
    // Ports whose suspension was told and not answered.
    let mut told = 0u32;
    let mut now = 0;
    for step in steps {
        match step {
            Step::Control {
                request,
                value,
                index,
                later,
                room,
            } => {
                now += u64::from(later);
                let mut answer = [0xee; 20];
                let result = hub.control(request, value, index, now, &mut answer[..room]);
                if let Ok(length) = result {
                    assert!(length <= room.min(15));
                }
                assert!(answer[room..].iter().all(|&byte| byte == 0xee));
            }
            Step::Connect(number, speed) => {
                let Some(port) = PortNumber::new(number) else {
                    continue;
                };
                let Some(speed) = Speed::from_wire(speed) else {
                    continue;
                };
                let before = hub.attached(port);
                let connected = hub.connect(port, speed);
                if hub.attached(port) != before {
                    told &= !(1 << number);
                }
                match connected {
                    Ok(_) => assert_eq!(hub.attached(port), speed),
                    Err(ConnectError::NoPort) => assert!(number > count),
                    Err(ConnectError::TooFast) => {
                        assert_eq!((speed, version), (Speed::High, UsbVersion::Usb11));
                        assert_eq!(hub.attached(port), Speed::None);
                    }
                }
            }
            Step::Tell => {
                let Some(port) = hub.next_suspend() else {
                    continue;
                };
                assert!(carries && port.get() <= count);
                assert!(is_suspended(&mut hub, port, now));
                assert_eq!(told & 1 << port.get(), 0, "told twice");
                hub.told(port);
                told |= 1 << port.get();
            }
            Step::Answer(number, suspended) => {
                let Some(port) = PortNumber::new(number) else {
                    continue;
                };
                let was = number <= count && is_suspended(&mut hub, port, now);
                let due = told & 1 << number != 0;
                let woken = hub.suspend_answered(port, suspended, now);
                // It may also be resuming, which looks like suspended.
                assert!(!woken || (due && was && !suspended));
                assert!(!woken || !is_suspended(&mut hub, port, now));
                told &= !(1 << number);
            }
            Step::DisconnectAll => {
                told = 0;
                hub.disconnect_all();
                assert!(PortNumber::first(31).all(|port| hub.attached(port) == Speed::None));
            }
        }
        sound(&mut hub, version, now);
    }
}

fn step(choices: &mut Choices<'_>) -> arbitrary::Result<Step> {
    Ok(match choices.int_in_range(0..=8u8)? {
        0..=3 => Step::Control {
            request: *choices.choose(&REQUESTS)?,
            value: if choices.arbitrary()? {
                choices.arbitrary()?
            } else {
                choices.int_in_range(0..=24)?
            },
            index: if choices.arbitrary()? {
                choices.arbitrary()?
            } else {
                choices.int_in_range(0..=32)?
            },
            later: choices.arbitrary::<u8>()?.into(),
            room: choices.int_in_range(0..=20)?,
        },
        4 | 5 => Step::Connect(choices.int_in_range(0..=33)?, choices.int_in_range(0..=4)?),
        6 => Step::Tell,
        7 => Step::Answer(choices.int_in_range(0..=32)?, choices.arbitrary()?),
        _ => Step::DisconnectAll,
    })
}

/// A hub and steps by choice.
pub fn any(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let count = choices.int_in_range(0..=33).unwrap_or(1);
    let version = match choices.arbitrary() {
        Ok(true) => UsbVersion::Usb11,
        _ => UsbVersion::Usb20,
    };
    let carries = choices.arbitrary().unwrap_or(true);
    let mut steps = vec![];
    while !choices.is_empty() && steps.len() < 200 {
        steps.extend(step(&mut choices));
    }
    follow(count, version, carries, steps);
}
