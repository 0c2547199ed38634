// SPDX-License-Identifier: GPL-2.0

//! What a hostile backend can do, one file for each family.
//!
//! What cannot be is a lie: the frontend must give its backend up. What can be,
//! however odd, it has to bear.

mod answers;
mod deaths;
mod indices;
mod keeps;
mod late;
mod lies;
mod mappings;
mod mute;
mod nodes;
mod packets;
mod ports;
mod restarts;
mod rewrites;
mod silence;
mod states;
mod storms;
mod withholds;

use super::session::Session;
use super::Vusb;
use crate::frontend::state::{CLOSED, CONNECTED, INIT_WAIT};
use crate::Result;
use std::time::Duration;
use usbif::Speed;

/// Transfers that are served before something happens, at most: some fall into the
/// enumeration, some after it.
const HONEST: u32 = 40;

/// A lie must be found out within so long: sooner than a frontend gives up a backend
/// that merely says nothing.
const FOUND: Duration = Duration::from_millis(if cfg!(test) { 1500 } else { 30_000 });

/// Where an attack happens.
pub(crate) struct Arena<'a> {
    pub(crate) vusb: &'a Vusb,
    pub(crate) random: fastrand::Rng,
    /// How much of it; see [`Attack::unit`].
    pub(crate) count: u64,
}

impl<'a> Arena<'a> {
    /// A vusb made anew whose backend waits for the frontend's rings.
    pub(crate) fn offer(&self) -> Result<()> {
        self.vusb.make()?;
        self.vusb.show(INIT_WAIT)?;
        self.vusb.wait_rings()
    }

    /// A new connection, with the device plugged.
    pub(crate) fn connect(&self) -> Result<Session<'a>> {
        self.offer()?;
        let mut session = Session::new(self.vusb, self.vusb.map()?)?;
        self.vusb.show(CONNECTED)?;
        session.plug(Speed::High)?;
        Ok(session)
    }

    /// The same, at some point of its life.
    pub(crate) fn somewhere(&mut self) -> Result<Session<'a>> {
        let mut session = self.connect()?;
        session.serve(self.random.u32(..HONEST))?;
        Ok(session)
    }

    /// The frontend must have found out.
    pub(crate) fn must_be_given_up(&self, why: &str) -> Result<()> {
        match self.vusb.wait_frontend_for(&[CLOSED], FOUND) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{why} is believed: {error}").into()),
        }
    }

    /// An honest backend must be served, on a connection of its own.
    pub(crate) fn check_fresh(&mut self) -> Result<()> {
        self.connect()?.check()
    }

    /// Any of these.
    pub(crate) fn choose<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.random.usize(..among.len())]
    }
}

/// A family of attacks.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What `--count` counts.
    pub(crate) unit: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&mut Arena<'_>) -> Result<()>,
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
    }
}

/// All there are. New ones go to the end: a place is part of the seed.
pub(crate) const ATTACKS: [Attack; 17] = [
    attack(
        "answers",
        "responses",
        "any status, length, frame and count that can be, in any order",
        answers::run,
    ),
    attack(
        "rewrites",
        "responses",
        "responses that change while they are read",
        rewrites::run,
    ),
    attack(
        "packets",
        "responses",
        "isochronous descriptors that are not those that were sent",
        packets::run,
    ),
    attack(
        "mappings",
        "responses",
        "pages that stay mapped when their request has been answered",
        mappings::run,
    ),
    attack(
        "storms",
        "events",
        "devices that come and go on all ports at once",
        storms::run,
    ),
    attack(
        "lies",
        "connections",
        "an answer twice, to nobody, too long, or with a status that is none",
        lies::run,
    ),
    attack(
        "indices",
        "connections",
        "indices of either ring that jump or run backwards",
        indices::run,
    ),
    attack(
        "ports",
        "connections",
        "ports and speeds that do not exist",
        ports::run,
    ),
    attack(
        "nodes",
        "connections",
        "nodes that are missing, garbage, huge",
        nodes::run,
    ),
    attack("states", "states", "states in every order", states::run),
    attack(
        "silence",
        "connections",
        "no answer any more, and then no backend",
        silence::run,
    ),
    attack(
        "deaths",
        "connections",
        "an end at each point of the handshake and after it",
        deaths::run,
    ),
    attack(
        "mute",
        "connections",
        "no answer any more, until the frontend gives up by itself",
        mute::run,
    ),
    attack(
        "keeps",
        "connections",
        "a new beginning with the last one's pages still mapped",
        keeps::run,
    ),
    attack(
        "withholds",
        "connections",
        "no answer to an isochronous transfer, until the frontend is taken away",
        withholds::run,
    ),
    attack(
        "restarts",
        "controllers",
        "a new beginning again and again, with nothing kept",
        restarts::run,
    ),
    attack(
        "late",
        "connections",
        "an end with a request at hand, whose page is written when the frontend has closed",
        late::run,
    ),
];

/// An attack and its place in the table.
pub(crate) fn find(name: &str) -> Option<(usize, &'static Attack)> {
    ATTACKS
        .iter()
        .enumerate()
        .find(|(_, attack)| attack.name == name)
}
