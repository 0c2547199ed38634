// SPDX-License-Identifier: GPL-2.0

//! Requests in flight, by the ids that the guest has chosen for them.

/// Entries of the urb ring, hence the most requests without a response.
pub const SLOTS: usize = 16;

/// Names a slot, 0..16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Index(u8);

impl Index {
    /// The slot with this number.
    #[must_use]
    pub fn new(number: usize) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|&number| usize::from(number) < SLOTS)
            .map(Self)
    }

    /// Its number, for an array with a place for each.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// There is no slot for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSlot {
    /// The id is in flight already: two answers could not be told apart.
    Duplicate,
    /// All are in use; the ring does not let that happen.
    Full,
}

/// 16 slots, each free or with a request's id and what is known of it.
#[derive(Debug)]
pub struct Slots<T> {
    entries: [Option<(u16, T)>; SLOTS],
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            entries: [const { None }; SLOTS],
        }
    }
}

impl<T> Slots<T> {
    /// Takes a free slot.
    ///
    /// # Errors
    /// [`NoSlot`], and why.
    pub fn insert(&mut self, id: u16, request: T) -> Result<Index, NoSlot> {
        if self.find(id).is_some() {
            return Err(NoSlot::Duplicate);
        }
        let (number, place) = self
            .entries
            .iter_mut()
            .enumerate()
            .find(|(_, entry)| entry.is_none())
            .ok_or(NoSlot::Full)?;
        *place = Some((id, request));
        Index::new(number).ok_or(NoSlot::Full)
    }

    /// The slot of the request with that id.
    #[must_use]
    pub fn find(&self, id: u16) -> Option<Index> {
        self.entries
            .iter()
            .position(|entry| entry.as_ref().is_some_and(|(used, _)| *used == id))
            .and_then(Index::new)
    }

    /// What is known of the request in a slot.
    #[must_use]
    pub fn get(&self, index: Index) -> Option<&T> {
        match self.entries.get(index.get()) {
            Some(Some((_, request))) => Some(request),
            _ => None,
        }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, index: Index) -> Option<&mut T> {
        match self.entries.get_mut(index.get()) {
            Some(Some((_, request))) => Some(request),
            _ => None,
        }
    }

    /// Frees a slot; returns the id and what was known.
    pub fn remove(&mut self, index: Index) -> Option<(u16, T)> {
        self.entries.get_mut(index.get())?.take()
    }

    /// The slots in use.
    pub fn used(&self) -> impl Iterator<Item = Index> + '_ {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.is_some())
            .filter_map(|(number, _)| Index::new(number))
    }
}
