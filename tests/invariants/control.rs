// SPDX-License-Identifier: GPL-2.0

//! What a setup packet means for the host.

use usbback_core::{Meaning, Operation};
use usbif::{Direction, SetupPacket, Status};

/// A request that changes what the host's USB core believes never reaches the
/// device, and one that does not is never taken for one.
pub fn meaning(bytes: &[u8]) {
    let mut setup = [0; 8];
    let length = bytes.len().min(8);
    setup[..length].copy_from_slice(&bytes[..length]);
    let packet = SetupPacket(setup);
    let [kind, request, v0, v1, i0, i1, l0, l1] = setup;
    assert_eq!((packet.request_type(), packet.request()), (kind, request));
    assert_eq!(packet.value(), u16::from_le_bytes([v0, v1]));
    assert_eq!(packet.index(), u16::from_le_bytes([i0, i1]));
    assert_eq!(packet.length(), u16::from_le_bytes([l0, l1]));
    let reads = kind >= 0x80 && (l0, l1) != (0, 0);
    assert_eq!(packet.direction() == Direction::In, reads);

    let standard = kind & 0x60 == 0;
    let recipient = kind & 0x1f;
    let halt = (recipient, request, v0, v1) == (2, 1, 0, 0);
    let of_the_core =
        standard && (matches!(request, 5 | 9 | 11) || (halt && !matches!((i0, i1), (0 | 0x80, 0))));
    let meaning = Meaning::of(&packet);
    assert_eq!(meaning != Meaning::Device, of_the_core, "{setup:?}");
    // One that the core does has no data, so its direction says nothing.
    setup[0] &= 0x7f;
    match meaning {
        Meaning::Device => {}
        Meaning::SetAddress(address) => {
            assert_eq!(setup, [0, 5, address, 0, 0, 0, 0, 0]);
            assert!(address < 128);
        }
        Meaning::Core(Operation::Reset | Operation::Suspend { .. } | Operation::Resume) => {
            panic!("no request of a device means this");
        }
        Meaning::Core(Operation::SetConfiguration(value)) => {
            assert_eq!(setup, [0, 9, value, 0, 0, 0, 0, 0]);
        }
        Meaning::Core(Operation::SetInterface {
            interface,
            altsetting,
        }) => assert_eq!(setup, [1, 11, altsetting, 0, interface, 0, 0, 0]),
        Meaning::Core(Operation::ClearHalt {
            endpoint,
            direction,
        }) => {
            let bit = if direction == Direction::In { 0x80 } else { 0 };
            assert!((1..=15).contains(&endpoint));
            assert_eq!(setup, [2, 1, 0, 0, endpoint | bit, 0, 0, 0]);
        }
        Meaning::Answer(status) => assert_eq!(status, Status::Stall),
    }
}
