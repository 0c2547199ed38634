// SPDX-License-Identifier: GPL-2.0

//! Requests of a guest, as short as they can be.

use usbback_core::Index;
use usbif::*;

pub(crate) fn submit(device: u8, endpoint: u8, kind: Kind) -> Submit {
    Submit {
        id: 0,
        port: PortNumber::new(1).unwrap(),
        device,
        endpoint,
        direction: Direction::Out,
        short_not_ok: false,
        kind,
        data: Segments::EMPTY,
    }
}

pub(crate) fn control(device: u8, setup: [u8; 8]) -> Submit {
    submit(device, 0, Kind::Control(SetupPacket(setup)))
}

pub(crate) const GET_DESCRIPTOR: [u8; 8] = [0x80, 6, 0, 1, 0, 0, 0, 0];
pub(crate) const SET_CONFIGURATION: [u8; 8] = [0, 9, 1, 0, 0, 0, 0, 0];

pub(crate) fn set_address(address: u8) -> [u8; 8] {
    [0, 5, address, 0, 0, 0, 0, 0]
}

pub(crate) fn slot(number: usize) -> Index {
    Index::new(number).unwrap()
}
