// SPDX-License-Identifier: GPL-2.0

//! The rings of one connection, from the backend's end.
//!
//! An honest answer goes through the ring's own end, which refuses what must not
//! be. For the rest there are the pages themselves.

use crate::xen::event::Channel;
use crate::xen::foreign::Foreign;
use crate::xen::grant::Page;
use crate::Result;
use ring::{BackRing, SharedPage};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use usbif::{ConnEvent, Indirect, Request, Segment, CONN_ENTRY, URB_ENTRY};

/// Between two looks at the ring, should an event have been prevented.
const LOOK: Duration = Duration::from_millis(10);

const RSP_PROD: usize = 8;
const FIRST_ENTRY: usize = 64;

/// Entries of the urb ring.
pub(crate) const ENTRIES: u32 = BackRing::<Page, URB_ENTRY>::ENTRIES;

/// One connection's rings.
pub(crate) struct Link {
    pub(crate) foreign: Foreign,
    pub(crate) channel: Channel,
    urbs: BackRing<Page, URB_ENTRY>,
    events: BackRing<Page, CONN_ENTRY>,
    /// Ids of connection events that the frontend has asked for.
    asked: VecDeque<u16>,
}

impl Link {
    pub(super) fn new(
        urbs: Page,
        events: Page,
        channel: Channel,
        foreign: Foreign,
    ) -> Result<Self> {
        let corrupt = |_| "the frontend's rings are impossible";
        Ok(Self {
            foreign,
            channel,
            urbs: BackRing::attach(urbs).map_err(corrupt)?,
            events: BackRing::attach(events).map_err(corrupt)?,
            asked: VecDeque::new(),
        })
    }

    pub(crate) fn urb_page(&self) -> &Page {
        self.urbs.page()
    }

    pub(crate) fn conn_page(&self) -> &Page {
        self.events.page()
    }

    /// The next request; None if there is none in time.
    pub(crate) fn take(&mut self, limit: Duration) -> Result<Option<Request>> {
        let start = Instant::now();
        loop {
            let corrupt = |_| "the frontend's request index is impossible";
            if let Some(entry) = self.urbs.pop().map_err(corrupt)? {
                return self.complete(&entry).map(Some);
            }
            if self.urbs.arm().map_err(corrupt)? {
                continue;
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            self.channel.wait(left.min(LOOK))?;
        }
    }

    /// A request, with the list of its segments fetched. It must be sound: our
    /// frontend makes no other.
    fn complete(&self, entry: &[u8; URB_ENTRY]) -> Result<Request> {
        let refused = |refused: usbif::Refused| format!("a bad request: {}", refused.reason);
        let request = Request::parse(entry).map_err(refused)?;
        let Request::Indirect(indirect) = &request else {
            return Ok(request);
        };
        let Segment {
            gref,
            offset,
            length,
        } = indirect.list();
        let mut list = [0; Indirect::LIST];
        self.foreign
            .read(gref, offset, &mut list[..usize::from(length)])?;
        Ok(Request::Submit(indirect.complete(&list).map_err(refused)?))
    }

    /// Puts an answer on the ring, of up to an entry's length.
    pub(crate) fn push(&mut self, answer: &[u8]) -> Result<()> {
        self.urbs
            .push(answer)
            .map_err(|_| "an answer to no request".into())
    }

    /// Puts a connection event on its ring: any port, any speed.
    pub(crate) fn push_event(&mut self, id: Option<u16>, port: u8, speed: u8) -> Result<()> {
        let [low, high] = id.unwrap_or(self.next_asked()?).to_le_bytes();
        self.events
            .push(&[low, high, port, speed])
            .map_err(|_| "the frontend asks for no connection events".into())
    }

    /// The id of the oldest request for a connection event.
    fn next_asked(&mut self) -> Result<u16> {
        let start = Instant::now();
        while self.asked.is_empty() {
            while let Some(entry) = self
                .events
                .pop()
                .map_err(|_| "the frontend's event index is impossible")?
            {
                self.asked.push_back(ConnEvent::request_id(&entry));
            }
            if self.asked.is_empty() {
                if start.elapsed() > super::PATIENCE {
                    return Err("the frontend gives no entries for events back".into());
                }
                self.channel.wait(LOOK)?;
            }
        }
        Ok(self.asked.pop_front().unwrap_or_default())
    }

    /// Shows what was pushed.
    pub(crate) fn publish(&mut self) -> Result<()> {
        // Not one after the other: both have to be shown.
        let urbs = self.urbs.publish();
        let events = self.events.publish();
        if urbs || events {
            self.channel.notify()?;
        }
        Ok(())
    }

    /// Writes an answer where the next one would be, and counts it, whether or not
    /// a request is there. The ring's own end is useless from now on.
    pub(crate) fn force(&mut self, answer: &[u8]) -> Result<()> {
        let page = self.urbs.page();
        let index = page.load(RSP_PROD);
        let place = (index % ENTRIES) as usize * URB_ENTRY;
        page.write(FIRST_ENTRY + place, answer);
        page.store(RSP_PROD, index.wrapping_add(1));
        self.channel.notify()
    }
}
