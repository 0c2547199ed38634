// SPDX-License-Identifier: GPL-2.0

//! Sends what the scheduler has for the ring, and answers it.

use crate::table::Tested;
use core::ops::Deref;
use usbfront_core::*;
use usbif::{Direction, Response, Status};

/// Bytes of an isochronous packet.
pub(crate) const ISO_PACKET: u32 = 1024;

pub(crate) fn bulk(direction: Direction, length: u32) -> Transfer {
    Transfer::new(Shape::Stream, direction, length, 512)
}

pub(crate) fn isochronous(direction: Direction, packets: u32) -> Transfer {
    Transfer::new(Shape::Isochronous, direction, packets, 1)
}

/// Requests on the ring, oldest first: the numbers of their URBs, and their ids.
#[derive(Default)]
pub(crate) struct Sent {
    list: [(u32, u16); SLOTS],
    count: usize,
}

impl Sent {
    fn push(&mut self, number: u32, id: u16) {
        self.list[self.count] = (number, id);
        self.count += 1;
    }

    pub(crate) fn append(&mut self, later: &Self) {
        for &(number, id) in later.iter() {
            self.push(number, id);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<(u32, u16)> {
        let first = *self.first()?;
        self.list.rotate_left(1);
        self.count -= 1;
        Some(first)
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter().map(|&(number, _)| number)
    }
}

impl Deref for Sent {
    type Target = [(u32, u16)];

    fn deref(&self) -> &Self::Target {
        &self.list[..self.count]
    }
}

/// Sends what may go, which must not be an unlink.
pub(crate) fn send(tested: &mut Tested) -> Sent {
    let mut sent = Sent::default();
    while let Some(work) = tested.next_work() {
        let Work::Piece(piece) = work else { panic!() };
        let bytes = match piece.transfer.shape() {
            Shape::Isochronous => piece.limit * ISO_PACKET,
            _ => piece.limit,
        };
        tested.sent(&piece, piece.limit, bytes);
        sent.push(*tested.payload(piece.job).unwrap(), piece.id);
    }
    sent
}

/// Answers a piece; returns what became of its job.
pub(crate) fn answer(
    tested: &mut Tested,
    id: u16,
    actual: u32,
    status: Status,
) -> Option<Finished<u32>> {
    let mut response = Response::plain(id, status);
    response.actual_length = actual;
    let Ok(Answer::Piece {
        job,
        offset,
        length,
        ..
    }) = tested.answer(&response)
    else {
        panic!()
    };
    tested.settle(job, offset, length, actual, status.errno())
}
