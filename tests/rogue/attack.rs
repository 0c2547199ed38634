// SPDX-License-Identifier: GPL-2.0

//! What a hostile frontend can do, one file for each family.

mod clings;
mod conn;
mod events;
mod fields;
mod grants;
mod halts;
mod maker;
mod nodes;
mod old;
mod producers;
mod renegotiate;
mod rewrite;
mod states;
mod storms;
mod suspends;
mod unlinks;
mod vanish;

use crate::frontend::connection::{Connection, KEPT};
use crate::frontend::device::Device;
use crate::frontend::stick::Stick;
use crate::frontend::Vusb;
use crate::Result;
use maker::Maker;
use usbif::PortNumber;

/// Requests of a round; see [`Arena::in_rounds`].
const ROUND: u64 = 2000;

/// A device that dom0 has given to this vusb.
pub(crate) struct Target {
    pub(crate) port: PortNumber,
    /// Whether it is a memory stick, which can be written.
    pub(crate) stick: bool,
    /// Its device descriptor, as dom0 knows it.
    pub(crate) descriptor: Vec<u8>,
}

/// Where an attack happens.
pub(crate) struct Arena<'a> {
    pub(crate) vusb: &'a Vusb,
    pub(crate) targets: &'a [Target],
    pub(crate) random: fastrand::Rng,
    /// How much of it; see [`Attack::unit`].
    pub(crate) count: u64,
}

impl Arena<'_> {
    /// Resets and configures every device.
    pub(crate) fn devices(&self, connection: &mut Connection) -> Result<Vec<Device>> {
        let enumerate = |target: &Target| {
            Device::enumerate(self.vusb, connection, target.port, &target.descriptor)
        };
        self.targets.iter().map(enumerate).collect()
    }

    /// Sets up and uses every device honestly: each answer comes once and is right.
    pub(crate) fn check(&mut self, connection: &mut Connection) -> Result<Vec<Device>> {
        let mut devices = self.devices(connection)?;
        for (target, device) in self.targets.iter().zip(&mut devices) {
            if target.stick {
                Stick::new(device)?.check(connection, &mut self.random)?;
            }
        }
        connection.is_quiet()?;
        Ok(devices)
    }

    /// The same with a connection of its own.
    pub(crate) fn check_fresh(&mut self) -> Result<()> {
        let mut connection = self.vusb.connect()?;
        self.check(&mut connection)?;
        self.vusb.settle()
    }

    /// Has `count` requests made in rounds, each of which is told how many are its. After a
    /// round the devices are honestly used, and set up again.
    pub(crate) fn in_rounds(
        &mut self,
        mut round: impl FnMut(&mut Connection, &Maker, &mut fastrand::Rng, u64) -> Result<()>,
    ) -> Result<()> {
        let mut left = self.count;
        let mut connection = self.vusb.connect()?;
        let mut devices = self.devices(&mut connection)?;
        while left > 0 {
            let maker = Maker::new(self.vusb, devices)?;
            let count = left.min(ROUND);
            left -= count;
            round(&mut connection, &maker, &mut self.random, count)?;
            devices = self.check(&mut connection)?;
        }
        Ok(())
    }

    /// The same, in batches: one is told how many are left of its round, and says how many
    /// it has pushed. Each has its answers, but for a few that come when there have been
    /// more.
    pub(crate) fn in_batches(
        &mut self,
        mut batch: impl FnMut(&mut Connection, &Maker, &mut fastrand::Rng, u64) -> Result<u64>,
    ) -> Result<()> {
        self.in_rounds(|connection, maker, random, mut left| {
            while left > 0 {
                let pushed = batch(connection, maker, random, left)?;
                left = left.saturating_sub(pushed);
                connection.publish()?;
                connection.drain_to(KEPT)?;
            }
            connection.drain()
        })
    }
}

/// A family of attacks.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What `--count` counts.
    pub(crate) unit: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Arena<'_>) -> Result<()>,
    /// The vusb is over afterwards: dom0 has to make it anew.
    pub(crate) fatal: bool,
}

const fn attack(
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    run: fn(&mut Arena<'_>) -> Result<()>,
) -> Attack {
    Attack {
        name,
        unit,
        about,
        run,
        fatal: false,
    }
}

/// All there are. New ones go to the end: a place is part of the seed.
pub(crate) const ATTACKS: [Attack; 16] = [
    attack(
        "fields",
        "requests",
        "any field of any request at its extremes or at random",
        fields::run,
    ),
    attack(
        "rewrite",
        "requests",
        "requests that change while they are read",
        rewrite::run,
    ),
    attack(
        "grants",
        "requests",
        "grants that are wrong, revoked, read-only, another's, the ring itself",
        grants::run,
    ),
    attack(
        "unlinks",
        "requests",
        "unlinks of everything, also of themselves",
        unlinks::run,
    ),
    attack(
        "producers",
        "connections",
        "a producer that jumps or runs backwards",
        producers::run,
    ),
    attack(
        "conn",
        "connections",
        "a conn ring whose indices lie",
        conn::run,
    ),
    attack(
        "events",
        "events",
        "events with nothing behind them",
        events::run,
    ),
    attack(
        "nodes",
        "connections",
        "nodes that are missing, garbage, huge, swapped",
        nodes::run,
    ),
    attack("states", "states", "states in every order", states::run),
    attack(
        "renegotiate",
        "connections",
        "new rings while requests are in flight",
        renegotiate::run,
    ),
    attack(
        "storms",
        "connections",
        "connections that end at any point",
        storms::run,
    ),
    Attack {
        fatal: true,
        ..attack(
            "vanish",
            "states",
            "a state that is none, a directory that is gone",
            vanish::run,
        )
    },
    attack(
        "old",
        "rounds",
        "no attack: a frontend of 2009, with ring-ref alone, reads and writes",
        old::run,
    ),
    attack(
        "suspends",
        "requests",
        "suspensions in every order with what wakes a device",
        suspends::run,
    ),
    attack(
        "halts",
        "requests",
        "endpoints that are cleared or changed under their requests",
        halts::run,
    ),
    attack(
        "clings",
        "requests",
        "work for the USB core without end, so that a device is never idle",
        clings::run,
    ),
];

/// An attack and its place in the table.
pub(crate) fn find(name: &str) -> Option<(usize, &'static Attack)> {
    ATTACKS
        .iter()
        .enumerate()
        .find(|(_, attack)| attack.name == name)
}
