// SPDX-License-Identifier: GPL-2.0

//! Rings in use, and who is owed an answer.
//!
//! Each request is answered exactly once, however wrong it was: that is what
//! `owed` keeps account of while the ring itself is used as it should be.

use crate::xen::event::Channel;
use crate::xen::grant::Page;
use crate::Result;
use ring::FrontRing;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use usbif::{ConnEvent, Request, Response, CONN_ENTRY, URB_ENTRY};

/// Longest wait for an answer that no device has to give.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 90 });
/// A request that has no answer after this long is with a device, which may
/// have nothing to say.
pub(crate) const QUIET: Duration = Duration::from_millis(4);
/// So many requests of a hostile frontend may stay with devices while it makes more:
/// a quarter of the ring. It makes half a ring at once, and unlinks need the rest.
pub(crate) const KEPT: u32 = ENTRIES / 4;

/// Entries of the urb ring.
pub(crate) const ENTRIES: u32 = FrontRing::<Page, URB_ENTRY>::ENTRIES;

/// One connection's rings.
pub(crate) struct Connection {
    pub(crate) channel: Channel,
    urbs: FrontRing<Page, URB_ENTRY>,
    events: FrontRing<Page, CONN_ENTRY>,
    /// Answers that are due, by id.
    owed: BTreeMap<u16, u32>,
    next: u16,
}

impl Connection {
    pub(crate) fn new(urbs: Page, events: Page, channel: Channel) -> Self {
        Self {
            channel,
            urbs: FrontRing::new(urbs),
            events: FrontRing::new(events),
            owed: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn urb_page(&self) -> &Page {
        self.urbs.page()
    }

    pub(crate) fn conn_page(&self) -> &Page {
        self.events.page()
    }

    /// Fills the conn ring with requests, each of which one event may use up.
    pub(crate) fn offer_events(&mut self) -> Result<()> {
        for id in 0..self.events.free() {
            let request = ConnEvent::request((id & 0xffff) as u16);
            self.events
                .push(&request)
                .map_err(|_| "the conn ring is full")?;
        }
        let _ = self.events.publish();
        Ok(())
    }

    /// Answers that are due.
    pub(crate) fn due(&self) -> u32 {
        self.owed.values().sum()
    }

    /// Requests for which there is room.
    pub(crate) fn free(&self) -> u32 {
        self.urbs.free()
    }

    /// An id that no request in flight has.
    pub(crate) fn fresh_id(&mut self) -> u16 {
        loop {
            self.next = self.next.wrapping_add(1);
            if !self.owed.contains_key(&self.next) {
                return self.next;
            }
        }
    }

    /// Puts any bytes on the ring as a request.
    pub(crate) fn push(&mut self, entry: &[u8; URB_ENTRY]) -> Result<()> {
        self.urbs.push(entry).map_err(|_| "the urb ring is full")?;
        *self
            .owed
            .entry(u16::from_le_bytes([entry[0], entry[1]]))
            .or_default() += 1;
        Ok(())
    }

    /// Shows what was pushed.
    pub(crate) fn publish(&mut self) -> Result<()> {
        if self.urbs.publish() {
            self.channel.notify()?;
        }
        Ok(())
    }

    /// The next answer; None if there is none in time. Its entry is copied out
    /// as it stands: what is no [`Response`] is the caller's to judge.
    pub(crate) fn answer(&mut self, limit: Duration) -> Result<Option<[u8; URB_ENTRY]>> {
        let start = Instant::now();
        loop {
            if let Some(entry) = self
                .urbs
                .pop()
                .map_err(|_| "the backend's index is impossible")?
            {
                return Ok(Some(entry));
            }
            if self
                .urbs
                .arm()
                .map_err(|_| "the backend's index is impossible")?
            {
                continue;
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            self.channel.wait(left)?;
        }
    }

    /// The next answer, accounted for.
    pub(crate) fn collect(&mut self, limit: Duration) -> Result<Option<Response>> {
        let Some(entry) = self.answer(limit)? else {
            return Ok(None);
        };
        let response = Response::parse(&entry)
            .map_err(|refused| format!("an answer is none: {}", refused.reason))?;
        match self.owed.get_mut(&response.id) {
            Some(1) => {
                self.owed.remove(&response.id);
            }
            Some(count) => *count -= 1,
            None => return Err(format!("request {} is answered but not due", response.id).into()),
        }
        Ok(Some(response))
    }

    /// Has every request answered that is due.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.drain_to(0)
    }

    /// Has requests answered until at most so many are due: waits a moment, then
    /// takes back what devices hold.
    pub(crate) fn drain_to(&mut self, most: u32) -> Result<()> {
        let start = Instant::now();
        let mut unlinked = Vec::new();
        while self.due() > most {
            if self.collect(QUIET)?.is_some() {
                continue;
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("requests are not answered: {:?}", self.owed).into());
            }
            let targets: Vec<u16> = self
                .owed
                .keys()
                .copied()
                .filter(|id| !unlinked.contains(id))
                .collect();
            for target in targets.into_iter().take(self.free() as usize) {
                let id = self.fresh_id();
                let unlink = Request::Unlink {
                    id,
                    target,
                    port: 1,
                    device: 0,
                };
                self.push(&unlink.encode())?;
                unlinked.extend([target, id]);
            }
            self.publish()?;
        }
        Ok(())
    }

    /// Keeps no account of what was pushed: it has been counted elsewhere.
    pub(crate) fn forget(&mut self) {
        self.owed.clear();
    }

    /// One honest request and its answer.
    pub(crate) fn transact(
        &mut self,
        entry: &[u8; URB_ENTRY],
        limit: Duration,
    ) -> Result<Response> {
        self.push(entry)?;
        self.publish()?;
        let response = self
            .collect(limit)?
            .ok_or("an honest request is not answered")?;
        if response.id.to_le_bytes() != entry[..2] {
            return Err("another request is answered than the only one in flight".into());
        }
        Ok(response)
    }

    /// Checks that nothing comes that nobody has asked for.
    pub(crate) fn is_quiet(&mut self) -> Result<()> {
        match self.answer(Duration::from_millis(200))? {
            None => Ok(()),
            Some(_) => Err("an answer too many".into()),
        }
    }
}
