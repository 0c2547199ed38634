// SPDX-License-Identifier: GPL-2.0

//! Tables whose places are used again, and lists of their entries: nothing is
//! allocated when an entry joins a list, and it leaves from anywhere in it.

use crate::table::Table;

/// Neighbours of an entry in the one list that it is in. A free place uses
/// `next` for the next free one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Links {
    listed: bool,
    previous: Option<u32>,
    next: Option<u32>,
}

/// What can be an entry.
pub(crate) trait Entry {
    /// What a free place holds.
    fn vacant() -> Self;
    /// Its neighbours.
    fn links(&self) -> &Links;
    /// The same, to change them.
    fn links_mut(&mut self) -> &mut Links;

    /// Whether it is in a list.
    fn is_listed(&self) -> bool {
        self.links().listed
    }
}

/// A table with a record of its free places.
pub(crate) struct Pool<T, S> {
    table: S,
    free: Option<u32>,
    used: u32,
    _entry: core::marker::PhantomData<T>,
}

impl<T: Entry, S: Table<T>> Pool<T, S> {
    /// All places of an empty table.
    pub(crate) const fn new(table: S) -> Self {
        Self {
            table,
            free: None,
            used: 0,
            _entry: core::marker::PhantomData,
        }
    }

    /// A place to use, which is vacant; `None` without memory for one more.
    pub(crate) fn take(&mut self) -> Option<u32> {
        let index = match self.free {
            None => self.table.push(T::vacant()).ok()?,
            Some(index) => {
                let links = self.table.get_mut(index)?.links_mut();
                self.free = links.next.take();
                index
            }
        };
        self.used = self.used.saturating_add(1);
        Some(index)
    }

    /// Makes a place free whose entry is in no list; returns what was in it.
    pub(crate) fn release(&mut self, index: u32) -> Option<T> {
        let entry = core::mem::replace(self.table.get_mut(index)?, T::vacant());
        self.table.get_mut(index)?.links_mut().next = self.free.replace(index);
        self.used = self.used.saturating_sub(1);
        Some(entry)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.table.get(index)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.table.get_mut(index)
    }

    /// Places that are not free.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Places, free or not.
    pub(crate) fn count(&self) -> u32 {
        self.table.count()
    }

    /// The entry after this one in its list.
    pub(crate) fn after(&self, index: u32) -> Option<u32> {
        self.get(index)?.links().next
    }
}

/// A list of entries of one pool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct List {
    first: Option<u32>,
    last: Option<u32>,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        first: None,
        last: None,
    };

    pub(crate) fn first(&self) -> Option<u32> {
        self.first
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Appends an entry, unless it is in a list already.
    pub(crate) fn append<T: Entry, S: Table<T>>(&mut self, pool: &mut Pool<T, S>, index: u32) {
        let Some(entry) = pool.get_mut(index).filter(|entry| !entry.is_listed()) else {
            return;
        };
        let last = self.last.replace(index);
        *entry.links_mut() = Links {
            listed: true,
            previous: last,
            next: None,
        };
        match last.and_then(|last| pool.get_mut(last)) {
            Some(last) => last.links_mut().next = Some(index),
            None => self.first = Some(index),
        }
    }

    /// Takes an entry of this list out; nothing happens if it is in none.
    pub(crate) fn remove<T: Entry, S: Table<T>>(&mut self, pool: &mut Pool<T, S>, index: u32) {
        let Some(entry) = pool.get_mut(index).filter(|entry| entry.is_listed()) else {
            return;
        };
        let Links { previous, next, .. } = core::mem::take(entry.links_mut());
        match previous.and_then(|previous| pool.get_mut(previous)) {
            Some(previous) => previous.links_mut().next = next,
            None => self.first = next,
        }
        match next.and_then(|next| pool.get_mut(next)) {
            Some(next) => next.links_mut().previous = previous,
            None => self.last = previous,
        }
    }
}
