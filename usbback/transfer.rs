// SPDX-License-Identifier: GPL-2.0

//! One request's data and URB: what goes to the device is copied from the
//! guest's pages before, what came from it is copied to them after.
//!
//! Byte n of the data is byte n of the slot's memory. Only what the device has
//! sent is given back: the rest of the memory is another request's past.
//! Isochronous descriptors travel through a page of their own.

use crate::connection::{Connection, PACKETS};
use kernel::page::Page;
use kernel::prelude::*;
use usb::urb::{Transfer, TransferKind, Urb};
use usbback_core::{pieces, Piece};
use usbif::{iso_status, Direction, IsoDescriptor, Kind, Response, Segments, Status, Submit};
use xen::grant_copy::{CopyBatch, CopyRoom, Failed, Foreign};
use xen::pages::{copy_in, copy_out};
use xen::DomId;

/// Copies of one batch: 16 segments in 16 pages are at most 31 pieces.
const ROOM: usize = 32;

/// All descriptors of a request fit into one page.
const _: () = assert!(PACKETS as usize * IsoDescriptor::SIZE <= 4096);

/// Copies between a guest's pages and the slots.
pub(crate) struct Copier {
    domain: DomId,
    room: KBox<CopyRoom<ROOM>>,
    /// For isochronous descriptors.
    descriptors: Page,
}

impl From<Failed> for Broken {
    fn from(_: Failed) -> Self {
        Self
    }
}

impl From<Error> for Broken {
    fn from(_: Error) -> Self {
        Self
    }
}

/// A copy was refused: a grant that is none.
struct Broken;

impl Copier {
    pub(crate) fn new(domain: DomId) -> Result<Self> {
        Ok(Self {
            domain,
            room: CopyRoom::new()?,
            descriptors: Page::alloc_page(GFP_KERNEL)?,
        })
    }

    /// Before submission: outgoing data, and the packets of an isochronous
    /// transfer.
    ///
    /// # Errors
    ///
    /// The status to answer with.
    pub(crate) fn fetch(
        &mut self,
        submit: &Submit,
        urb: &mut Urb<Connection>,
    ) -> Result<(), Status> {
        if submit.direction == Direction::Out {
            self.copy(urb, &submit.data, 0, submit.data.total(), fetch_piece)
                .map_err(|Broken| Status::Invalid)?;
        }
        if let Kind::Isochronous {
            packets,
            descriptors,
            ..
        } = &submit.kind
        {
            if *packets > PACKETS {
                return Err(Status::Invalid);
            }
            self.fetch_descriptors(descriptors)
                .map_err(|Broken| Status::Invalid)?;
            for index in 0..*packets {
                let mut bytes = [0; IsoDescriptor::SIZE];
                copy_out(&self.descriptors, at(index), &mut bytes).map_err(|_| Status::Invalid)?;
                let packet = IsoDescriptor::parse(&bytes);
                if !packet.fits(submit.data.total()) {
                    return Err(Status::Invalid);
                }
                urb.set_packet(index, packet.offset, packet.length)
                    .map_err(|_| Status::Invalid)?;
            }
        }
        Ok(())
    }

    /// After completion: incoming data, and what became of each packet. The id is
    /// for the caller to set.
    pub(crate) fn give(&mut self, submit: &Submit, urb: &Urb<Connection>) -> Response {
        let mut response = Response {
            id: 0,
            start_frame: 0,
            status: Status::from_urb(urb.status()),
            actual_length: urb.actual_length().min(submit.data.total()),
            error_count: 0,
        };
        let copied = match &submit.kind {
            Kind::Isochronous {
                packets,
                descriptors,
                ..
            } => {
                // The frame counter of the wire has 16 bits.
                response.start_frame = (urb.start_frame() & 0xffff) as u16;
                response.error_count = urb.error_count();
                self.give_packets(submit, urb, *packets, descriptors)
            }
            _ if submit.direction == Direction::In => {
                self.copy(urb, &submit.data, 0, response.actual_length, give_piece)
            }
            _ => Ok(()),
        };
        if copied.is_err() {
            // The guest has taken its pages away: it does not get what it does
            // not have.
            response.status = Status::Invalid;
            response.actual_length = 0;
        }
        response
    }

    fn give_packets(
        &mut self,
        submit: &Submit,
        urb: &Urb<Connection>,
        packets: u16,
        descriptors: &Segments,
    ) -> Result<(), Broken> {
        for index in 0..packets {
            let packet = urb.packet(index).ok_or(Broken)?;
            if submit.direction == Direction::In {
                let end = packet.offset.saturating_add(packet.actual_length);
                self.copy(urb, &submit.data, packet.offset, end, give_piece)?;
            }
            let descriptor = IsoDescriptor {
                offset: packet.offset,
                length: packet.length,
                actual_length: packet.actual_length,
                status: iso_status(packet.status),
            };
            copy_in(&self.descriptors, at(index), &descriptor.encode())?;
        }
        let mut batch = self.room.batch(self.domain);
        for piece in pieces(descriptors, 0, descriptors.total()) {
            batch.write(
                &self.descriptors,
                piece.local,
                foreign(&piece),
                piece.length,
            )?;
        }
        Ok(batch.run()?)
    }

    fn fetch_descriptors(&mut self, descriptors: &Segments) -> Result<(), Broken> {
        let mut batch = self.room.batch(self.domain);
        for piece in pieces(descriptors, 0, descriptors.total()) {
            batch.read(
                foreign(&piece),
                &self.descriptors,
                piece.local,
                piece.length,
            )?;
        }
        Ok(batch.run()?)
    }

    /// Copies bytes `from..to` of the data, piece by piece.
    fn copy(
        &mut self,
        urb: &Urb<Connection>,
        data: &Segments,
        from: u32,
        to: u32,
        piece: for<'p> fn(&mut CopyBatch<'_, 'p>, &'p Urb<Connection>, &Piece) -> Result,
    ) -> Result<(), Broken> {
        let mut batch = self.room.batch(self.domain);
        for next in pieces(data, from, to) {
            if batch.room() == 0 {
                batch.run()?;
            }
            piece(&mut batch, urb, &next)?;
        }
        Ok(batch.run()?)
    }
}

/// Where a descriptor lies in the page of descriptors.
fn at(index: u16) -> usize {
    usize::from(index).saturating_mul(IsoDescriptor::SIZE)
}

fn foreign(piece: &Piece) -> Foreign {
    Foreign {
        gref: piece.gref,
        offset: piece.foreign,
    }
}

fn fetch_piece<'p>(
    batch: &mut CopyBatch<'_, 'p>,
    urb: &'p Urb<Connection>,
    piece: &Piece,
) -> Result {
    let page = urb.buffer().page(piece.page).ok_or(EINVAL)?;
    batch.read(foreign(piece), page, piece.local, piece.length)
}

fn give_piece<'p>(
    batch: &mut CopyBatch<'_, 'p>,
    urb: &'p Urb<Connection>,
    piece: &Piece,
) -> Result {
    let page = urb.buffer().page(piece.page).ok_or(EINVAL)?;
    batch.write(page, piece.local, foreign(piece), piece.length)
}

/// What the host's USB core is to do for a request.
pub(crate) fn of(submit: &Submit) -> Transfer {
    Transfer {
        endpoint: submit.endpoint,
        direction: match submit.direction {
            Direction::In => usb::endpoint::Direction::In,
            Direction::Out => usb::endpoint::Direction::Out,
        },
        length: submit.data.total(),
        short_not_ok: submit.short_not_ok,
        // The wire has no such flag: the frontend sends an empty request.
        zero_packet: false,
        kind: match &submit.kind {
            Kind::Control(setup) => TransferKind::Control(setup.0),
            Kind::Bulk => TransferKind::Bulk,
            // The period is the device's own.
            Kind::Interrupt { .. } => TransferKind::Interrupt,
            Kind::Isochronous { packets, .. } => TransferKind::Isochronous(*packets),
        },
    }
}
