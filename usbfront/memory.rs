// SPDX-License-Identifier: GPL-2.0

//! The pages that requests carry. Each slot has 32 bounce pages, which the
//! backend may access as long as we are connected and which hold nothing but
//! what was copied there for it. Whole pages of a URB are granted one by one,
//! from the request to its answer. One page more has the segments of indirect
//! requests, each slot's in its own place.

use kernel::{page::PAGE_SIZE, prelude::*};
use usb::hcd_urb::Urb;
use usbfront_core::{Plan, Slot, SLOTS};
use usbif::{
    Direction, Indirect, Segment, Segments, Submit, MAX_INDIRECT, MAX_SEGMENTS, URB_ENTRY,
};
use xen::{
    grant::{Access, Grant, GrantPool},
    pages::{copy_in, GrantPage},
    xenbus::Device,
    DomId,
};

/// Numbers for pages in place: 16 requests of 32 pages.
const IN_PLACE: u16 = (SLOTS * MAX_INDIRECT) as u16;
const _: () = assert!(SLOTS * Indirect::LIST <= PAGE_SIZE);
const _: () = assert!(PAGE_SIZE == usbif::PAGE_SIZE as usize);

/// The backend has a page mapped that it has just answered for.
pub(crate) struct StillMapped;

/// A page of our own that the backend has access to.
pub(crate) struct Bounce {
    // Ends before the page goes.
    grant: Grant,
    page: GrantPage,
}

impl Bounce {
    fn new(backend: DomId, access: Access) -> Result<Self> {
        let page = GrantPage::zeroed()?;
        let grant = Grant::new(backend, page.hold()?, access)?;
        Ok(Self { grant, page })
    }

    pub(crate) fn page(&self) -> &GrantPage {
        &self.page
    }

    /// Ends the backend's access; if it has the page mapped, it stays.
    fn end(self) -> Result<(), Self> {
        let Self { grant, page } = self;
        match grant.end() {
            Ok(_) => Ok(()),
            Err(grant) => Err(Self { grant, page }),
        }
    }

    /// The first `length` bytes from `offset` on, for a request.
    pub(crate) fn segment(&self, offset: u16, length: u16) -> Segment {
        Segment {
            gref: self.grant.reference(),
            offset,
            length,
        }
    }
}

struct SlotMemory {
    bounce: KVec<Bounce>,
    /// Pages of the URB, by number of the part.
    in_place: [Option<Grant>; MAX_INDIRECT],
    plan: Plan,
}

/// The places for URBs' pages.
fn in_place(slots: &mut [SlotMemory]) -> impl Iterator<Item = &mut Option<Grant>> {
    slots.iter_mut().flat_map(|memory| &mut memory.in_place)
}

/// All slots' pages.
pub(crate) struct Memory {
    slots: KVec<SlotMemory>,
    // Always there until the end.
    lists: Option<Bounce>,
    pool: GrantPool,
    backend: DomId,
}

impl Memory {
    /// Allocates and grants the bounce pages: 2 MiB.
    pub(crate) fn new(dev: &Device) -> Result<Self> {
        let backend = dev.otherend_id();
        let mut slots = KVec::with_capacity(SLOTS, GFP_KERNEL)?;
        for _ in 0..SLOTS {
            let mut bounce = KVec::with_capacity(MAX_INDIRECT, GFP_KERNEL)?;
            for _ in 0..MAX_INDIRECT {
                bounce.push(Bounce::new(backend, Access::ReadWrite)?, GFP_KERNEL)?;
            }
            slots.push(
                SlotMemory {
                    bounce,
                    in_place: [const { None }; MAX_INDIRECT],
                    plan: Plan::default(),
                },
                GFP_KERNEL,
            )?;
        }
        Ok(Self {
            slots,
            lists: Some(Bounce::new(backend, Access::ReadOnly)?),
            pool: GrantPool::new(IN_PLACE)?,
            backend,
        })
    }

    /// The bounce pages of a slot; none if there is no such slot.
    pub(crate) fn bounce(&self, slot: Slot) -> &[Bounce] {
        let slot = self.slots.get(slot.index());
        slot.map_or(&[], |memory| &memory.bounce)
    }

    /// The entry for a transfer: one that has more segments than an entry holds
    /// gets its list written.
    ///
    /// # Errors
    ///
    /// None that happens.
    pub(crate) fn entry(&self, slot: Slot, submit: &Submit) -> Result<[u8; URB_ENTRY]> {
        if submit.data.len() <= MAX_SEGMENTS {
            return Ok(submit.entry());
        }
        let at = slot.index().saturating_mul(Indirect::LIST);
        // Within the page, see above; the length follows from the segments.
        let lists = self.lists.as_ref().ok_or(EINVAL)?;
        let mut bytes = [0; Indirect::LIST];
        submit.write_list(&mut bytes);
        copy_in(lists.page(), at, &bytes)?;
        Ok(submit.entry_with_list(lists.segment(at as u16, 0)))
    }

    /// Where the parts of the slot's request are planned, for [`Self::lay_out`].
    pub(crate) fn plan(&mut self, slot: Slot) -> Option<&mut Plan> {
        Some(&mut self.slots.get_mut(slot.index())?.plan)
    }

    /// Makes the planned parts of a request accessible to the backend: grants pages,
    /// copies OUT data. They are added to `segments`.
    ///
    /// # Errors
    ///
    /// `EINVAL` the URB's buffer is shorter than it says.
    pub(crate) fn lay_out(
        &mut self,
        slot: Slot,
        urb: &Urb,
        direction: Direction,
        segments: &mut Segments,
    ) -> Result {
        let memory = self.slots.get_mut(slot.index()).ok_or(EINVAL)?;
        let access = match direction {
            Direction::Out => Access::ReadOnly,
            Direction::In => Access::ReadWrite,
        };
        let mut buffer = urb.stretches(0);
        let places = memory.in_place.iter_mut().zip(&memory.bounce);
        for (part, (place, bounce)) in memory.plan.parts().iter().zip(places) {
            buffer.seek(part.at);
            let page = if part.in_place {
                buffer.hold_page()
            } else {
                None
            };
            // Without a number left, or for memory of the slab allocator,
            // which cannot be held, the bounce page does it.
            *place = page.and_then(|page| self.pool.grant(self.backend, page, access).ok());
            let gref = match place {
                Some(grant) => grant.reference(),
                None => {
                    if direction == Direction::Out {
                        let to = usize::from(part.offset);
                        buffer.copy_to_page(part.length, &bounce.page, to)?;
                    }
                    bounce.grant.reference()
                }
            };
            segments
                .push(Segment {
                    gref,
                    offset: part.offset,
                    length: part.length,
                })
                .map_err(|_| EINVAL)?;
        }
        Ok(())
    }

    /// The backend has answered: copies `actual` bytes of IN data, and ends the
    /// grants of the URB's own pages.
    pub(crate) fn collect(
        &mut self,
        slot: Slot,
        urb: &Urb,
        direction: Direction,
        actual: u32,
    ) -> Result<(), StillMapped> {
        let Some(memory) = self.slots.get_mut(slot.index()) else {
            return Ok(());
        };
        let mut result = Ok(());
        let mut left = actual;
        let mut buffer = urb.stretches(0);
        let places = memory.in_place.iter_mut().zip(&memory.bounce);
        for (part, (place, bounce)) in memory.plan.parts().iter().zip(places) {
            // No more than the part's length, so it fits.
            let length = left.min(u32::from(part.length)) as u16;
            left = left.saturating_sub(u32::from(length));
            if let Some(grant) = place.take() {
                if let Err(grant) = self.pool.end(grant) {
                    // The kernel keeps page and number until it has ended.
                    drop(grant);
                    result = Err(StillMapped);
                }
            } else if direction == Direction::In && length > 0 {
                // The buffer was long enough when the part was laid out.
                let from = usize::from(part.offset);
                buffer.seek(part.at);
                let _ = buffer.copy_from_page(length, &bounce.page, from);
            }
        }
        memory.plan.clear();
        result
    }

    /// The backend is not listened to any more: ends all grants of URBs' pages
    /// that it does not have mapped. Their numbers stay in the pool, for it may still be at
    /// what it was asked: with a number that another driver of this domain got meanwhile, it
    /// would write into that one's page.
    pub(crate) fn abandon(&mut self) {
        for place in in_place(&mut self.slots) {
            *place = place.take().and_then(|grant| self.pool.end(grant).err());
        }
    }

    /// Whether the backend has URBs' pages mapped that it has not answered for.
    pub(crate) fn lends(&self) -> bool {
        let mut pages = self.slots.iter().flat_map(|memory| &memory.in_place);
        pages.any(Option::is_some)
    }

    /// The backend has let go of the rings: ends all grants. False: it has some pages
    /// mapped. To be asked again: what it lets go of is ended then. Dropping the memory
    /// leaves that to the kernel.
    pub(crate) fn end(&mut self) -> bool {
        for place in in_place(&mut self.slots) {
            // Not into the pool, of which the kernel would write a line for each, each time.
            *place = place.take().and_then(|grant| grant.end().err());
        }
        self.lists = self.lists.take().and_then(|lists| lists.end().err());
        let mut all = self.lists.is_none();
        for memory in &mut self.slots {
            all &= memory.in_place.iter().all(Option::is_none);
            while let Some(bounce) = memory.bounce.pop() {
                if let Err(bounce) = bounce.end() {
                    // There is room, where it was.
                    let _ = memory.bounce.push_within_capacity(bounce);
                    all = false;
                    break;
                }
            }
        }
        all
    }
}
