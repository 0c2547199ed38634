// SPDX-License-Identifier: GPL-2.0

//! One request's data and URB: what goes to the device is copied from the
//! guest's pages before, what came from it is copied to them after.
//!
//! Byte n of the data is byte n of the slot's memory. Only what the device has
//! sent is given back: the rest of the memory is another request's past.
//! Isochronous descriptors travel through a page of their own. All copies of a
//! request are made together, in as few calls of the hypervisor as they fit in.

use crate::connection::{Connection, PACKETS};
use kernel::page::Page;
use kernel::prelude::*;
use usb::urb::{Transfer, TransferKind, Urb};
use usbback_core::{joined, pieces, Piece};
use usbif::{
    iso_status, Direction, Indirect, IsoDescriptor, Kind, Response, Segments, Status, Submit,
};
use xen::grant_copy::{CopyBatch, CopyRoom, Failed, Foreign};
use xen::pages::{copy_in, copy_out};
use xen::DomId;

/// Copies of one batch: 32 segments in 32 pages are at most 63 pieces, but each
/// isochronous packet that is not full begins a new one.
const ROOM: usize = 128;

/// All descriptors of a request fit into one page.
const _: () = assert!(PACKETS as usize * IsoDescriptor::SIZE <= 4096);

/// Copies between a guest's pages and the slots.
pub(crate) struct Copier {
    domain: DomId,
    room: KBox<CopyRoom<ROOM>>,
    /// For isochronous descriptors.
    descriptors: Page,
}

/// A request that cannot be done, and why, for the log.
pub(crate) struct Unfit(pub(crate) &'static str);

impl From<Broken> for Unfit {
    fn from(_: Broken) -> Self {
        Self("memory that is not granted")
    }
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

    /// Fetches the segments of an indirect request.
    ///
    /// # Errors
    ///
    /// What is wrong with it; it is to be answered as invalid.
    pub(crate) fn complete(&mut self, indirect: &Indirect) -> core::result::Result<Submit, Unfit> {
        let list = indirect.list();
        let from = Foreign {
            gref: list.gref,
            offset: list.offset,
        };
        let mut batch = self.room.batch(self.domain);
        batch
            .read(from, &self.descriptors, 0, list.length)
            .map_err(Broken::from)?;
        batch.run().map_err(Broken::from)?;
        // Out of the guest's reach: checked and used as it is.
        let mut bytes = [0; Indirect::LIST];
        copy_out(&self.descriptors, 0, &mut bytes).map_err(Broken::from)?;
        indirect
            .complete(&bytes)
            .map_err(|refused| Unfit(refused.reason))
    }

    /// Before submission: outgoing data, and the packets of an isochronous
    /// transfer.
    ///
    /// # Errors
    ///
    /// What is wrong with the request; it is to be answered as invalid.
    pub(crate) fn fetch(
        &mut self,
        submit: &Submit,
        urb: &mut Urb<Connection>,
    ) -> core::result::Result<(), Unfit> {
        let (packets, descriptors) = match submit.kind {
            Kind::Isochronous { packets, .. } if packets > PACKETS => {
                return Err(Unfit("more than 256 packets"));
            }
            Kind::Isochronous {
                packets,
                descriptors,
                ..
            } => (packets, descriptors),
            _ => (0, Segments::EMPTY),
        };
        self.fetch_bytes(submit, &descriptors, urb)?;
        let total = submit.data.total();
        let mut room = total;
        for index in 0..packets {
            // Copied out of the guest's reach above: checked and used as it is.
            let mut bytes = [0; IsoDescriptor::SIZE];
            copy_out(&self.descriptors, at(index), &mut bytes).map_err(Broken::from)?;
            let packet = IsoDescriptor::parse(&bytes);
            if !packet.fits(total) {
                return Err(Unfit("a packet beyond the data"));
            }
            // Together they are no more than the data: else some overlap, which no driver does,
            // and which vhci_hcd does not bear, but throws the device out.
            room = room
                .checked_sub(packet.length)
                .ok_or(Unfit("packets that overlap"))?;
            urb.set_packet(index, packet.offset, packet.length)
                .map_err(Broken::from)?;
        }
        Ok(())
    }

    /// Copies OUT data to the slot, and descriptors to their page.
    fn fetch_bytes(
        &mut self,
        submit: &Submit,
        descriptors: &Segments,
        urb: &Urb<Connection>,
    ) -> Result<(), Broken> {
        let mut batch = self.room.batch(self.domain);
        if submit.direction == Direction::Out {
            for piece in pieces(&submit.data, 0, submit.data.total()) {
                let page = urb.buffer().page(piece.page).ok_or(Broken)?;
                with_room(&mut batch)?.read(foreign(&piece), page, piece.local, piece.length)?;
            }
        }
        for piece in pieces(descriptors, 0, descriptors.total()) {
            let page = &self.descriptors;
            with_room(&mut batch)?.read(foreign(&piece), page, piece.local, piece.length)?;
        }
        Ok(batch.run()?)
    }

    /// After completion with `status`: incoming data, and what became of each packet.
    /// The id is for the caller to set.
    pub(crate) fn give(
        &mut self,
        submit: &Submit,
        urb: &Urb<Connection>,
        status: Status,
    ) -> Response {
        let mut response = Response {
            id: 0,
            start_frame: 0,
            status,
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
                self.give_bytes(submit, urb, response.actual_length)
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

    /// Copies the first `length` bytes to the guest.
    fn give_bytes(
        &mut self,
        submit: &Submit,
        urb: &Urb<Connection>,
        length: u32,
    ) -> Result<(), Broken> {
        let mut batch = self.room.batch(self.domain);
        give_range(&mut batch, submit, urb, 0, length)?;
        Ok(batch.run()?)
    }

    /// Copies each packet's descriptor to the guest, and of those that came in
    /// the bytes that did.
    fn give_packets(
        &mut self,
        submit: &Submit,
        urb: &Urb<Connection>,
        packets: u16,
        descriptors: &Segments,
    ) -> Result<(), Broken> {
        for index in 0..packets {
            let packet = urb.packet(index).ok_or(Broken)?;
            let descriptor = IsoDescriptor {
                offset: packet.offset,
                length: packet.length,
                actual_length: packet.actual_length,
                status: iso_status(packet.status),
            };
            copy_in(&self.descriptors, at(index), &descriptor.encode())?;
        }
        let mut batch = self.room.batch(self.domain);
        if submit.direction == Direction::In {
            let received = (0..packets)
                .filter_map(|index| urb.packet(index))
                .map(|packet| (packet.offset, packet.actual_length));
            for (first, length) in joined(received) {
                give_range(&mut batch, submit, urb, first, length)?;
            }
        }
        for piece in pieces(descriptors, 0, descriptors.total()) {
            let page = &self.descriptors;
            with_room(&mut batch)?.write(page, piece.local, foreign(&piece), piece.length)?;
        }
        Ok(batch.run()?)
    }
}

/// The batch, with room for one copy more: it is run when it has none.
fn with_room<'b, 'a, 'p>(
    batch: &'b mut CopyBatch<'a, 'p>,
) -> Result<&'b mut CopyBatch<'a, 'p>, Failed> {
    if batch.room() == 0 {
        batch.run()?;
    }
    Ok(batch)
}

/// Adds the copies of `length` bytes of data to the guest, from byte `first` on.
fn give_range<'p>(
    batch: &mut CopyBatch<'_, 'p>,
    submit: &Submit,
    urb: &'p Urb<Connection>,
    first: u32,
    length: u32,
) -> Result<(), Broken> {
    for piece in pieces(&submit.data, first, first.saturating_add(length)) {
        let page = urb.buffer().page(piece.page).ok_or(Broken)?;
        with_room(batch)?.write(page, piece.local, foreign(&piece), piece.length)?;
    }
    Ok(())
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
