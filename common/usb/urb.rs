// SPDX-License-Identifier: GPL-2.0

//! URBs that are allocated once and used for ever, but for the C structure, of which
//! usbcore may keep one: see [`crate::urb_raw`].
//!
//! A [`Urb`] is one that is *not* in flight, and its owner the only user of its memory.
//! [`Urb::submit`] takes it away; if usbcore refuses, the refusal gives it back, else it comes
//! back through [`Completion::complete`], exactly once per submission. So a URB in
//! flight cannot be touched: nobody has it. A [`UrbHandle`] stays behind to unlink or
//! kill it.
//!
//! What usbcore is told comes from the host's descriptors: the endpoint must exist in the
//! current altsettings with the asked type and direction, periods are the descriptor's,
//! flags are a whitelist. A [`Target`] is one device to send to, and can be closed: once
//! it is closed and every handle was told to [`UrbHandle::kill_for`] it, nothing is in
//! flight to the device any more, and nothing will be.
//!
//! Lock order: the gate of a URB is the innermost lock of process context. Completion does
//! not take it. `submit` holds it while it fills and submits, `unlink` and `kill*` while
//! they work, so that a URB is never filled anew under the feet of a canceller: usbcore
//! reads `urb->dev` there. Killing waits for the controller to give back, some milliseconds.

pub use crate::{
    urb_handle::{
        Ticket,
        UrbHandle, //
    },
    urb_iso::IsoPacket,
    urb_target::Target,
    urb_transfer::{
        Transfer,
        TransferKind, //
    }, //
};

use crate::{
    device::Device,
    endpoint::{
        Endpoint,
        TransferType, //
    },
    lock::pipe,
    urb_buffer::{
        Buffer,
        PAGES, //
    },
    urb_iso::packet_ptr,
    urb_raw::RawUrb, //
};
use kernel::{
    bindings,
    error::to_result,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    types::Opaque, //
};

/// Where completed URBs go.
pub trait Completion: Send + Sync + Sized + 'static {
    /// A URB came back: done, failed or cancelled; see [`Urb::status`].
    ///
    /// Called in interrupt or softirq context, perhaps before `submit` of this URB
    /// returns, perhaps inside an `unlink` of it or a `submit` of another: put the URB in a
    /// list under a spinlock taken with interrupts off, and enqueue work; no more.
    fn complete(&self, urb: Urb<Self>);
}

/// usbcore did not take a URB: here it is again.
pub struct Refusal<C: Completion> {
    /// The URB, as it was.
    pub urb: Urb<C>,
    /// `ESHUTDOWN`: the target is closed. `ENOENT`: no such endpoint. `EINVAL`: the endpoint
    /// is of another type, or the setup packet and length disagree, or packets exceed the
    /// length. `EMSGSIZE`: longer than the buffer, or a packet longer than the endpoint's.
    /// `ENOMEM`: also if the transfer needs contiguous memory that the buffer has not got.
    /// `ENODEV`: unplugged, or unconfigured. Others from the controller.
    pub error: Error,
}

/// A URB and its memory, in flight or not.
#[pin_data]
pub(crate) struct Core<C: Completion> {
    pub(crate) raw: RawUrb,
    /// Mapped for DMA by itself, so not part of anything.
    setup: KBox<Opaque<[u8; 8]>>,
    sg: KBox<Opaque<[bindings::scatterlist; PAGES]>>,
    buffer: Buffer,
    pub(crate) packets: u16,
    tag: usize,
    context: Arc<C>,
    #[pin]
    pub(crate) gate: Mutex<Gate>,
}

/// What a URB was last submitted for.
pub(crate) struct Gate {
    /// Counts submissions.
    pub(crate) sequence: u64,
    /// The target whose device `urb->dev` is, kept by this reference.
    pub(crate) target: Option<Arc<Target>>,
}

// SAFETY: what the pointers point to is owned by the `Core`, and used by the one owner of
// the `Urb`, or by usbcore while it is in flight, or under the gate.
unsafe impl<C: Completion> Send for Core<C> {}

// SAFETY: as above.
unsafe impl<C: Completion> Sync for Core<C> {}

/// A URB that is not in flight.
///
/// # Invariants
///
/// There is one `Urb` per `Core`, or none while it is in flight.
pub struct Urb<C: Completion> {
    pub(crate) core: Arc<Core<C>>,
}

impl<C: Completion> Urb<C> {
    /// Allocates a URB, its buffer, and room for `packets` isochronous packets.
    ///
    /// `context` is where it will complete, `tag` whatever tells it from its siblings.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(context: Arc<C>, tag: usize, packets: u16) -> Result<Self> {
        let buffer = Buffer::new()?;
        let setup = KBox::new(Opaque::new([0u8; 8]), GFP_KERNEL)?;
        let sg = KBox::new(
            Opaque::new([bindings::scatterlist::default(); PAGES]),
            GFP_KERNEL,
        )?;
        let raw = RawUrb::new(packets, bindings::GFP_KERNEL)?;
        let core = Arc::pin_init(
            pin_init!(Core {
                raw,
                setup,
                sg,
                buffer,
                packets,
                tag,
                context,
                gate <- new_mutex!(Gate {
                    sequence: 0,
                    target: None,
                }),
            }),
            GFP_KERNEL,
        )?;
        // INVARIANT: the only one.
        Ok(Self { core })
    }

    /// A handle to cancel it by.
    pub fn handle(&self) -> UrbHandle<C> {
        UrbHandle::new(self.core.clone())
    }

    /// Where it completes.
    pub fn context(&self) -> &Arc<C> {
        &self.core.context
    }

    /// The tag it was made with.
    pub fn tag(&self) -> usize {
        self.core.tag
    }

    /// Its memory, for grant copy page by page.
    pub fn buffer(&self) -> &Buffer {
        &self.core.buffer
    }

    /// Copies bytes out of the buffer; `EINVAL` beyond it.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Result {
        // SAFETY: not in flight, and who would write has to borrow `self` mutably.
        unsafe { self.core.buffer.read(offset, out) }
    }

    /// Copies bytes into the buffer; `EINVAL` beyond it.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result {
        // SAFETY: not in flight, and `self` is borrowed mutably.
        unsafe { self.core.buffer.write(offset, bytes) }
    }

    /// How the last submission ended: 0, or a negative errno
    /// (Documentation/driver-api/usb/error-codes.rst).
    pub fn status(&self) -> i32 {
        // SAFETY: not in flight, so usbcore is done with it.
        unsafe { (*self.core.raw.as_ptr()).status }
    }

    /// Bytes transferred by the last submission, never more than asked for.
    pub fn actual_length(&self) -> u32 {
        // SAFETY: as above.
        unsafe {
            let raw = self.core.raw.as_ptr();
            (*raw).actual_length.min((*raw).transfer_buffer_length)
        }
    }

    /// Failed packets of the last isochronous submission.
    pub fn error_count(&self) -> u32 {
        // SAFETY: as above.
        let count = unsafe { (*self.core.raw.as_ptr()).error_count };
        u32::try_from(count).unwrap_or(0)
    }

    /// The frame in which the last isochronous submission started.
    pub fn start_frame(&self) -> u32 {
        // SAFETY: as above.
        let frame = unsafe { (*self.core.raw.as_ptr()).start_frame };
        u32::try_from(frame).unwrap_or(0)
    }

    /// Submits it. Sleeps (GFP_NOIO), so process context only.
    ///
    /// # Errors
    ///
    /// See [`Refusal::error`]; the URB is in the refusal.
    pub fn submit(self, target: &Arc<Target>, transfer: &Transfer) -> Result<Ticket, Refusal<C>> {
        let core = self.core;
        let mut gate = core.gate.lock();
        let result = core.try_submit(&mut gate, target, transfer);
        drop(gate);
        match result {
            Ok(ticket) => Ok(ticket),
            Err(error) => Err(Refusal {
                // INVARIANT: it did not take off.
                urb: Urb { core },
                error,
            }),
        }
    }
}

impl<C: Completion> Core<C> {
    /// Called by the owner of the `Urb`, which is gone if this succeeds.
    fn try_submit(
        self: &Arc<Self>,
        gate: &mut Gate,
        target: &Arc<Target>,
        transfer: &Transfer,
    ) -> Result<Ticket> {
        if !target.is_open() {
            return Err(ESHUTDOWN);
        }
        let device = target.device();
        let endpoint = transfer.resolve(device)?;
        self.leave_last(gate, target)?;
        let raw = self.raw.as_ptr();
        let (sg_count, address) = self.lay_out(device, &endpoint, transfer.length)?;
        let packets = self.check_packets(transfer)?;

        if let TransferKind::Control(setup) = transfer.kind {
            // SAFETY: our memory, not in flight.
            unsafe { self.setup.get().write(setup) };
        }
        gate.target = Some(target.clone());
        gate.sequence = gate.sequence.wrapping_add(1);
        // The reference that a URB in flight holds: `complete` takes it over.
        let flight = Arc::into_raw(self.clone());
        // SAFETY: the URB is valid, not in flight, and nobody cancels it while the gate is
        // ours. `setup`, `sg` and the buffer live in `self`, which `flight` keeps until
        // completion. `gate.target` keeps the device until another takes its place, under
        // the gate. On success the URB is usbcore's, and not touched any more.
        let result = unsafe {
            (*raw).dev = device.as_raw();
            (*raw).pipe = pipe(device, endpoint.number, endpoint.direction, endpoint.kind);
            (*raw).stream_id = 0;
            (*raw).status = 0;
            (*raw).transfer_flags = transfer.flags(&endpoint);
            (*raw).transfer_buffer = address.cast();
            (*raw).transfer_dma = 0;
            (*raw).sg = if sg_count == 0 {
                core::ptr::null_mut()
            } else {
                self.sg.get().cast()
            };
            (*raw).sgt = core::ptr::null_mut();
            (*raw).num_sgs = sg_count;
            (*raw).num_mapped_sgs = 0;
            (*raw).transfer_buffer_length = transfer.length;
            (*raw).actual_length = 0;
            (*raw).setup_packet = self.setup.get().cast();
            (*raw).setup_dma = 0;
            (*raw).start_frame = 0;
            (*raw).number_of_packets = packets.into();
            // At most 2 to the 15th.
            (*raw).interval = endpoint.period(device.speed()) as i32;
            (*raw).error_count = 0;
            (*raw).context = flight.cast_mut().cast();
            (*raw).complete = Some(complete::<C>);
            to_result(bindings::usb_submit_urb(raw, GFP_NOIO))
        };
        if let Err(error) = result {
            // SAFETY: `flight` came from `into_raw` above, and `complete` is not called for
            // a URB that was refused.
            drop(unsafe { Arc::from_raw(flight) });
            return Err(error);
        }
        Ok(Ticket(gate.sequence))
    }

    /// Sees to it that nobody cancels what is submitted next because of what was before.
    ///
    /// usbcore may still be cancelling the URB for its last device: it has a reference of its
    /// own then (`usb_hcd_flush_endpoint()`), and must not find the URB in use for another
    /// one (`usb_hcd_unlink_urb()`). So it keeps that one, and we take a new one.
    fn leave_last(&self, gate: &Gate, target: &Arc<Target>) -> Result {
        let is_last = |last: &Arc<Target>| Arc::ptr_eq(last, target);
        if gate.target.as_ref().is_some_and(is_last) || !self.raw.is_shared() {
            return Ok(());
        }
        // Or its completion has not returned. That must have an end before the structure has
        // another owner, for whoever kills then waits for the new one's only.
        // SAFETY: a valid URB, which nobody fills while the gate is ours.
        unsafe { bindings::usb_kill_urb(self.raw.as_ptr()) };
        if !self.raw.is_shared() {
            return Ok(());
        }
        let fresh = RawUrb::new(self.packets, GFP_NOIO)?;
        // SAFETY: both have so many packets. The one is idle, and usbcore does not change an
        // idle URB's packets; the other is ours alone.
        unsafe {
            packet_ptr(fresh.as_ptr(), 0)
                .copy_from_nonoverlapping(packet_ptr(self.raw.as_ptr(), 0), self.packets.into());
        }
        // Those that cancel it for us wait for the gate, and the `Urb` is the caller's.
        self.raw.swap(&fresh);
        Ok(())
    }

    /// Decides how the data is described to the controller: the number of list entries and
    /// NULL, or 0 and an address. Lists are for bulk transfers of more than a page.
    fn lay_out(&self, device: &Device, endpoint: &Endpoint, length: u32) -> Result<(i32, *mut u8)> {
        let length = length as usize;
        if length > Buffer::SIZE {
            return Err(EMSGSIZE);
        }
        let entries = length.div_ceil(PAGE_SIZE);
        let listed = endpoint.kind == TransferType::Bulk
            && entries > 1
            && entries <= device.sg_limit() as usize
            // usb_submit_urb() wants every entry but the last to end with a packet's end.
            && PAGE_SIZE.checked_rem(endpoint.max_packet.into()) == Some(0);
        if !listed {
            let address = self.buffer.linear(length).ok_or(ENOMEM)?;
            return Ok((0, address.as_ptr()));
        }
        let table = self.sg.get().cast::<bindings::scatterlist>();
        // SAFETY: the table is ours, not in flight, and has `PAGES` entries: `entries` is no
        // more, as `length` is no more than the buffer.
        unsafe { bindings::sg_init_table(table, entries as u32) };
        let mut left = length;
        for index in 0..entries {
            let page = self.buffer.page_struct(index).ok_or(EINVAL)?;
            let part = left.min(PAGE_SIZE);
            left = left.saturating_sub(part);
            // SAFETY: as above. The lowest two bits of `page_link` are the end mark that
            // sg_init_table() set, the others the page (sg_assign_page()).
            unsafe {
                let entry = table.wrapping_add(index);
                (*entry).page_link |= page as usize;
                (*entry).offset = 0;
                (*entry).length = part as u32;
            }
        }
        Ok((entries as i32, core::ptr::null_mut()))
    }
}

/// `GFP_NOIO`: a guest's disk may be what a page is written to.
const GFP_NOIO: bindings::gfp_t =
    bindings::GFP_KERNEL & !(1 << bindings::___GFP_IO_BIT) & !(1 << bindings::___GFP_FS_BIT);

extern "C" fn complete<C: Completion>(urb: *mut bindings::urb) {
    // SAFETY: usbcore calls this once per accepted submission, with the context that
    // `try_submit` made by `into_raw`.
    let core = unsafe { Arc::from_raw((*urb).context.cast::<Core<C>>()) };
    let context = core.context.clone();
    // INVARIANT: it was in flight, so there is no other.
    context.complete(Urb { core });
}
