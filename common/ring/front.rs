// SPDX-License-Identifier: GPL-2.0

//! The requesting end.

use crate::layout::{entries, entry_offset, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD};
use crate::{Corrupt, Full, SharedPage};

/// The end that produces requests and consumes responses.
pub struct FrontRing<P, const ENTRY: usize> {
    page: P,
    /// Requests written, published or not.
    req_prod: u32,
    /// Requests published; never ahead of `req_prod`.
    published: u32,
    /// Responses consumed; never ahead of `published`.
    rsp_cons: u32,
}

impl<P: SharedPage, const ENTRY: usize> FrontRing<P, ENTRY> {
    /// Entries of this ring.
    pub const ENTRIES: u32 = entries(ENTRY);

    /// Takes an all-zero page that the far end does not use yet and writes the
    /// header (`SHARED_RING_INIT`): both ends want an event at the first entry.
    pub fn new(page: P) -> Self {
        page.store(REQ_PROD, 0);
        page.store(RSP_PROD, 0);
        page.store(REQ_EVENT, 1);
        page.store(RSP_EVENT, 1);
        Self {
            page,
            req_prod: 0,
            published: 0,
            rsp_cons: 0,
        }
    }

    /// The shared page.
    pub fn page(&self) -> &P {
        &self.page
    }

    /// Gives the page back.
    pub fn into_page(self) -> P {
        self.page
    }

    /// Requests that can be pushed now.
    #[must_use]
    pub fn free(&self) -> u32 {
        // An entry is free again when its response has been consumed.
        Self::ENTRIES.saturating_sub(self.req_prod.wrapping_sub(self.rsp_cons))
    }

    /// Writes one request. The far end sees it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Full`] while every entry holds a request that has no response yet.
    pub fn push(&mut self, entry: &[u8; ENTRY]) -> Result<(), Full> {
        if self.free() == 0 {
            return Err(Full);
        }
        self.page.write(entry_offset(self.req_prod, ENTRY), entry);
        self.req_prod = self.req_prod.wrapping_add(1);
        Ok(())
    }

    /// Shows the far end all that was pushed. True: it asked to be notified.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let old = self.published;
        if old == self.req_prod {
            return false;
        }
        self.page.store(REQ_PROD, self.req_prod);
        self.published = self.req_prod;
        // The index must be visible before the far end's wish is read, else
        // both could go to sleep.
        self.page.full_barrier();
        crosses(old, self.published, self.page.load(REQ_EVENT))
    }

    /// Consumes one response, if there is one.
    ///
    /// # Errors
    /// [`Corrupt`] if more responses are claimed than requests were published.
    pub fn pop(&mut self) -> Result<Option<[u8; ENTRY]>, Corrupt> {
        if !self.waiting()? {
            return Ok(None);
        }
        let mut entry = [0; ENTRY];
        self.page
            .read(entry_offset(self.rsp_cons, ENTRY), &mut entry);
        self.rsp_cons = self.rsp_cons.wrapping_add(1);
        Ok(Some(entry))
    }

    /// Asks for an event at the next response. True: one is here already, and
    /// the caller goes on popping instead of waiting.
    ///
    /// # Errors
    /// [`Corrupt`] as for [`Self::pop`].
    pub fn arm(&mut self) -> Result<bool, Corrupt> {
        if self.waiting()? {
            return Ok(true);
        }
        self.page.store(RSP_EVENT, self.rsp_cons.wrapping_add(1));
        // The wish must be visible before the last look, else a response
        // between the two would come without an event.
        self.page.full_barrier();
        self.waiting()
    }

    fn waiting(&self) -> Result<bool, Corrupt> {
        let ready = self.page.load(RSP_PROD).wrapping_sub(self.rsp_cons);
        let outstanding = self.published.wrapping_sub(self.rsp_cons);
        if ready > outstanding {
            return Err(Corrupt);
        }
        Ok(ready != 0)
    }
}

/// Whether moving a producer index from `old` to `new` passes `event`
/// (`RING_PUSH_*_AND_CHECK_NOTIFY`).
pub(crate) fn crosses(old: u32, new: u32, event: u32) -> bool {
    new.wrapping_sub(event) < new.wrapping_sub(old)
}
