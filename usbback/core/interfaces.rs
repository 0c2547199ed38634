// SPDX-License-Identifier: GPL-2.0

//! Which interfaces of a device are claimed: what `grabbed_devices` lists.

/// A set of interface numbers of one configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// bConfigurationValue.
    configuration: u8,
    /// A bit for each bInterfaceNumber.
    numbers: [u64; 4],
}

fn place(number: u8) -> (usize, u64) {
    (
        usize::from(number.wrapping_shr(6)),
        1u64.wrapping_shl(u32::from(number)),
    )
}

impl Interfaces {
    /// Adds an interface. Those of another configuration are forgotten: a
    /// device has one at a time.
    pub fn insert(&mut self, configuration: u8, number: u8) {
        if self.configuration != configuration {
            *self = Self {
                configuration,
                numbers: [0; 4],
            };
        }
        let (word, bit) = place(number);
        if let Some(word) = self.numbers.get_mut(word) {
            *word |= bit;
        }
    }

    /// Takes an interface out.
    pub fn remove(&mut self, number: u8) {
        let (word, bit) = place(number);
        if let Some(word) = self.numbers.get_mut(word) {
            *word &= !bit;
        }
    }

    /// Whether the interface is in.
    #[must_use]
    pub fn contains(&self, number: u8) -> bool {
        let (word, bit) = place(number);
        self.numbers.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers == [0; 4]
    }

    /// bConfigurationValue of the configuration they belong to.
    #[must_use]
    pub fn configuration(&self) -> u8 {
        self.configuration
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=u8::MAX).filter(|&number| self.contains(number))
    }
}
