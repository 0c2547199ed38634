// SPDX-License-Identifier: GPL-2.0

//! Port numbers of a virtual root hub.

use crate::MAX_PORTS;

/// A port of a virtual root hub, 1..=31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortNumber(u8);

impl PortNumber {
    /// The port of that number, if a root hub can have it.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number >= 1 && number <= MAX_PORTS {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number, 1..=31.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Position in an array with a place for each port, 0..=30.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0.saturating_sub(1) as usize
    }

    /// The first `count` ports, at most 31.
    pub fn first(count: u8) -> impl Iterator<Item = Self> {
        (1..=count).map_while(Self::new)
    }
}
