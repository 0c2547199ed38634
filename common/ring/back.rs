// SPDX-License-Identifier: GPL-2.0

//! The serving end.

use crate::front::crosses;
use crate::layout::{entries, entry_offset, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD};
use crate::{Corrupt, Full, SharedPage};

/// The end that consumes requests and produces responses.
pub struct BackRing<P, const ENTRY: usize> {
    page: P,
    /// Requests consumed.
    req_cons: u32,
    /// Responses written, published or not; never ahead of `req_cons`.
    rsp_prod: u32,
    /// Responses published; never ahead of `rsp_prod`.
    published: u32,
}

impl<P: SharedPage, const ENTRY: usize> BackRing<P, ENTRY> {
    /// Entries of this ring.
    pub const ENTRIES: u32 = entries(ENTRY);

    /// Takes over a ring that a frontend has set up, at the position that the
    /// page says (`BACK_RING_ATTACH`): what was answered stays answered.
    ///
    /// # Errors
    /// [`Corrupt`] if more requests are claimed than the ring has entries.
    pub fn attach(page: P) -> Result<Self, Corrupt> {
        let start = page.load(RSP_PROD);
        let ring = Self {
            page,
            req_cons: start,
            rsp_prod: start,
            published: start,
        };
        ring.waiting()?;
        Ok(ring)
    }

    /// The shared page.
    pub fn page(&self) -> &P {
        &self.page
    }

    /// Requests that were consumed and have no response yet.
    #[must_use]
    pub fn unanswered(&self) -> u32 {
        self.req_cons.wrapping_sub(self.rsp_prod)
    }

    /// Consumes one request, copying it out once.
    ///
    /// # Errors
    /// [`Corrupt`] if the far end claims more requests than the ring can hold.
    pub fn pop(&mut self) -> Result<Option<[u8; ENTRY]>, Corrupt> {
        if !self.waiting()? {
            return Ok(None);
        }
        let mut entry = [0; ENTRY];
        self.page
            .read(entry_offset(self.req_cons, ENTRY), &mut entry);
        self.req_cons = self.req_cons.wrapping_add(1);
        Ok(Some(entry))
    }

    /// Writes one response, of at most `ENTRY` bytes. The far end sees it after
    /// [`Self::publish`].
    ///
    /// # Errors
    /// [`Full`] if every consumed request has its response already, or the
    /// response is longer than an entry.
    pub fn push(&mut self, response: &[u8]) -> Result<(), Full> {
        if self.unanswered() == 0 || response.len() > ENTRY {
            return Err(Full);
        }
        self.page
            .write(entry_offset(self.rsp_prod, ENTRY), response);
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
        Ok(())
    }

    /// Shows the far end all that was pushed. True: it asked to be notified.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let old = self.published;
        if old == self.rsp_prod {
            return false;
        }
        self.page.store(RSP_PROD, self.rsp_prod);
        self.published = self.rsp_prod;
        // See FrontRing::publish.
        self.page.full_barrier();
        crosses(old, self.published, self.page.load(RSP_EVENT))
    }

    /// Asks for an event at the next request. True: one is here already.
    ///
    /// # Errors
    /// [`Corrupt`] as for [`Self::pop`].
    pub fn arm(&mut self) -> Result<bool, Corrupt> {
        if self.waiting()? {
            return Ok(true);
        }
        self.page.store(REQ_EVENT, self.req_cons.wrapping_add(1));
        // See FrontRing::arm.
        self.page.full_barrier();
        self.waiting()
    }

    fn waiting(&self) -> Result<bool, Corrupt> {
        let req_prod = self.page.load(REQ_PROD);
        // A frontend may have at most one ring of requests beyond what it has
        // been answered; this also catches an index that ran backwards.
        if req_prod.wrapping_sub(self.published) > Self::ENTRIES
            || req_prod.wrapping_sub(self.req_cons) > Self::ENTRIES
        {
            return Err(Corrupt);
        }
        Ok(req_prod != self.req_cons)
    }
}
