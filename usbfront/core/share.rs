// SPDX-License-Identifier: GPL-2.0

//! Who may have how many of the ring's 16 entries, and of the URBs that wait for them.
//!
//! Some requests are answered when the device has something to say, which may
//! be never: a keyboard's interrupt transfer, the sixteen reads of a modem. Others
//! come back and are there again at once, as those of a microphone. So
//! an endpoint may not take all entries, and the last ones are kept: one for
//! unlinks, two for control transfers, two for isochronous streams, which need
//! a request on the ring while the next is made, and then one for whoever has none.
//!
//! | request | goes out while more entries are free than |
//! | --- | --- |
//! | unlink | 0 |
//! | first control transfer of a device, suspension of a port | 1 |
//! | isochronous, the first two of an endpoint | 3 |
//! | first of a bulk or interrupt endpoint | 5 |
//! | isochronous, two more | 6 |
//! | further of any endpoint; of bulk and interrupt, up to 4 | 8 |
//!
//! Endpoints that wait for an entry get them in turn, so that a stream with
//! many URBs leaves other streams theirs. Some backends get one request of each
//! endpoint at a time, whatever its type.
//!
//! URBs need memory, and there is an end to it: a process with one device could take all
//! and have the others' drivers fail.

use crate::transfer::Shape;

pub(crate) const FOR_UNLINKS: u8 = 1;
const FOR_CONTROL: u8 = 3;
const FOR_STREAMS: u8 = 5;
const FOR_FIRST: u8 = 6;
const FOR_OTHERS: u8 = 8;
/// Requests of an isochronous endpoint that are almost always let out.
const STREAM: u8 = 2;
/// Most requests in flight of one bulk or interrupt endpoint; a stream's beyond that wait
/// for as much room as others' further ones.
const DEPTH: u8 = 4;

/// How many entries must stay free when a request of that shape goes out, of an
/// endpoint that has that many in flight. `None`: not before an answer.
pub(crate) const fn reserve(shape: Shape, in_flight: u8) -> Option<u8> {
    Some(match shape {
        Shape::Control if in_flight == 0 => FOR_UNLINKS,
        Shape::Isochronous if in_flight < STREAM => FOR_CONTROL,
        Shape::Stream if in_flight == 0 => FOR_STREAMS,
        Shape::Isochronous if in_flight < DEPTH => FOR_FIRST,
        Shape::Stream if in_flight >= DEPTH => return None,
        Shape::Control | Shape::Isochronous | Shape::Stream => FOR_OTHERS,
    })
}

/// With so many URBs, the endpoints that have enough get no more.
const CROWD: u32 = 2048;
/// URBs of an endpoint that are enough then: drivers have fewer, or wait.
const ENOUGH: u32 = 32;

/// Whether a URB is accepted, with so many of all endpoints and of its own.
pub(crate) const fn accepts(all: u32, own: u32) -> bool {
    all < CROWD || own < ENOUGH
}
