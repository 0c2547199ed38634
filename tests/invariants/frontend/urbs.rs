// SPDX-License-Identifier: GPL-2.0

//! The URBs of class drivers, by numbers: each is given back once, with the
//! bytes that were moved for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use usbfront_core::{Finished, JobId, Shape};

#[derive(Default)]
pub struct Urbs {
    count: u32,
    isochronous: HashSet<u32>,
    /// Submitted and not given back.
    alive: HashMap<u32, JobId>,
    given: HashSet<u32>,
    /// What became of the pieces of those that are alive: by number and place, how long
    /// each is, and what it has moved.
    moved: BTreeMap<(u32, u32), (u32, u32)>,
}

impl Urbs {
    /// The next one's number.
    pub fn number(&mut self, shape: Shape) -> u32 {
        let number = self.count;
        self.count += 1;
        if shape == Shape::Isochronous {
            self.isochronous.insert(number);
        }
        number
    }

    pub fn submitted(&mut self, number: u32, job: JobId) {
        self.alive.insert(number, job);
    }

    /// No memory: the core is told, and that is all.
    pub fn refused(&mut self, number: u32) {
        self.given.insert(number);
    }

    /// One that is alive, if any is.
    pub fn any(&self, which: usize) -> Option<JobId> {
        let mut numbers: Vec<_> = self.alive.keys().copied().collect();
        numbers.sort_unstable();
        let number = numbers.get(which % numbers.len().max(1))?;
        Some(self.job(*number))
    }

    pub fn job(&self, number: u32) -> JobId {
        self.alive[&number]
    }

    /// A piece was answered: it has moved `actual` of its `length` bytes.
    pub fn moved(&mut self, number: u32, offset: u32, length: u32, actual: u32) {
        self.moved.insert((number, offset), (length, actual));
    }

    /// `drained`: nobody knows what the backend has moved.
    pub fn give_back(&mut self, finished: &Finished<u32>, drained: bool) {
        let number = finished.payload;
        assert!(self.alive.remove(&number).is_some(), "not alive");
        assert!(self.given.insert(number), "given back twice");
        assert!(
            drained || finished.actual == self.whole_of(number),
            "not what was moved"
        );
        self.moved.retain(|(other, _), _| *other != number);
    }

    /// Of a stream up to the first piece that is not whole, in whatever order they were
    /// answered; each isochronous packet stands for itself.
    fn whole_of(&self, number: u32) -> u32 {
        let (mut whole, mut open) = (0, true);
        for (_, (length, moved)) in self.moved.range((number, 0)..=(number, u32::MAX)) {
            whole += if open { *moved } else { 0 };
            open &= moved == length || self.isochronous.contains(&number);
        }
        whole
    }

    pub fn assert_none_is_alive(&self) {
        assert!(self.alive.is_empty(), "a URB was not given back");
        assert_eq!(self.given.len() as u32, self.count);
    }
}
