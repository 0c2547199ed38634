// SPDX-License-Identifier: GPL-2.0

//! Requests with more segments than a ring entry holds.
//!
//! An extension of the interface: a backend that understands it says so with the
//! node `feature-indirect-segments`, whose value is the most segments it takes; a
//! frontend that does not know the node sends none. In the entry's flags bit 15 is
//! set, `nr_buffer_segs` counts the segments, and the first segment of the entry is
//! where their list lies: 8 bytes for each, as in the entry, in one page. Of the
//! length, `buffer_length` has the low 16 bits. Bulk and interrupt transfers only.

use crate::request::stated;
use crate::segment::SEGMENT;
use crate::{Refused, Segment, Segments, Submit, MAX_INDIRECT, URB_ENTRY};

/// A transfer as an entry tells it, and where the list of its segments lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indirect {
    submit: Submit,
    list: Segment,
    count: u16,
    stated: u16,
}

impl Indirect {
    /// Bytes of the longest list.
    pub const LIST: usize = MAX_INDIRECT * SEGMENT;

    /// What an entry says, whose `submit` has no data yet.
    pub(crate) fn parse(
        submit: Submit,
        list: Segment,
        count: u16,
        stated: u16,
    ) -> Result<Self, Refused> {
        let needed = usize::from(count).saturating_mul(SEGMENT);
        let fits = count > 0 && usize::from(count) <= MAX_INDIRECT;
        if !fits || usize::from(list.length) != needed || !list.is_sound() {
            return Err(Refused {
                id: submit.id,
                reason: "bad list of segments",
            });
        }
        Ok(Self {
            submit,
            list,
            count,
            stated,
        })
    }

    /// The transfer; it has no data before [`Self::complete`].
    #[must_use]
    pub fn submit(&self) -> &Submit {
        &self.submit
    }

    /// Where the list is.
    #[must_use]
    pub fn list(&self) -> Segment {
        self.list
    }

    /// The entry that tells it.
    pub(crate) fn entry(&self) -> [u8; URB_ENTRY] {
        self.submit.indirect(self.list, self.count, self.stated)
    }

    /// The transfer with the segments of the list, which was copied to where the other
    /// side cannot write.
    ///
    /// # Errors
    /// [`Refused`] if one of them is impossible, or their sum is not what was said.
    pub fn complete(&self, list: &[u8; Self::LIST]) -> Result<Submit, Refused> {
        let refuse = |reason| Refused {
            id: self.submit.id,
            reason,
        };
        let mut data = Segments::EMPTY;
        for index in 0..usize::from(self.count) {
            data.push(Segment::read(list, index.saturating_mul(SEGMENT)))
                .map_err(|_| refuse("bad data segment in the list"))?;
        }
        if self.stated != stated(&data) {
            return Err(refuse("buffer_length is not the sum of the segments"));
        }
        Ok(Submit {
            data,
            ..self.submit
        })
    }
}
