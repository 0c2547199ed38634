// SPDX-License-Identifier: GPL-2.0

//! The packets of an isochronous request in a slot's bounce pages: data first,
//! the descriptors in the last page.

use crate::memory::Memory;
use kernel::prelude::*;
use usb::hcd_urb::Urb;
use usbfront_core::{outcome, spans, Piece, Places, Run, Slot, DATA_PAGES};
use usbif::{IsoDescriptor, Segments};
use xen::pages::{copy_in, copy_out};

/// Puts the packets of a run, with which a piece begins, into its slot's pages: their
/// data, and descriptors.
///
/// # Errors
///
/// `EINVAL` the URB has not so many, or one leaves its buffer.
pub(crate) fn lay_out(
    memory: &Memory,
    urb: &Urb,
    piece: &Piece,
    run: Run,
    data: &mut Segments,
    descriptors: &mut Segments,
) -> Result {
    let pages = memory.bounce(piece.slot);
    let list = pages.get(DATA_PAGES).ok_or(EINVAL)?;
    let mut places = Places::default();
    for number in 0..run.packets {
        let packet = urb
            .packet(piece.offset.saturating_add(number))
            .ok_or(EINVAL)?;
        let place = places.place(packet.length);
        copy_in(list.page(), at(number), &place.encode())?;
        if urb.is_in() {
            continue;
        }
        let mut from = packet.offset;
        let mut buffer = urb.stretches(from);
        for span in spans(place.offset, place.length) {
            let page = pages.get(span.page).ok_or(EINVAL)?.page();
            buffer.copy_to_page(span.length, page, span.offset.into())?;
            from = from.saturating_add(span.length.into());
            buffer.seek(from);
        }
    }
    for span in spans(0, run.bytes) {
        let page = pages.get(span.page).ok_or(EINVAL)?;
        data.push(page.segment(span.offset, span.length))
            .map_err(|_| EINVAL)?;
    }
    // At most a page.
    let length = at(run.packets) as u16;
    descriptors
        .push(list.segment(0, length))
        .map_err(|_| EINVAL)?;
    Ok(())
}

/// The backend has answered for `count` packets from number `first` on: notes
/// what became of each, and copies what has come in. Returns the bytes moved.
///
/// `None`: the descriptors are not those that were sent, or claim more data
/// than there is.
pub(crate) fn collect(
    memory: &Memory,
    slot: Slot,
    urb: &mut Urb,
    first: u32,
    count: u32,
) -> Option<u32> {
    let pages = memory.bounce(slot);
    let descriptors = pages.get(DATA_PAGES)?;
    let mut places = Places::default();
    let mut moved = 0u32;
    for number in 0..count {
        let index = first.saturating_add(number);
        let packet = urb.packet(index)?;
        let asked = places.place(packet.length);
        // The only look at it: the backend may still write there.
        let mut bytes = [0; IsoDescriptor::SIZE];
        copy_out(descriptors.page(), at(number), &mut bytes).ok()?;
        let outcome = outcome(&asked, &IsoDescriptor::parse(&bytes))?;
        if urb.is_in() {
            let mut to = packet.offset;
            let mut buffer = urb.stretches(to);
            for span in spans(asked.offset, outcome.actual_length) {
                let page = pages.get(span.page)?.page();
                buffer
                    .copy_from_page(span.length, page, span.offset.into())
                    .ok()?;
                to = to.saturating_add(span.length.into());
                buffer.seek(to);
            }
        }
        urb.set_packet(index, outcome.actual_length, outcome.status);
        moved = moved.saturating_add(outcome.actual_length);
    }
    Some(moved)
}

/// Where the descriptor of a request's packet lies in the page.
fn at(number: u32) -> usize {
    (number as usize).saturating_mul(IsoDescriptor::SIZE)
}
