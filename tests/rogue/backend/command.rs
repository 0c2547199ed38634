// SPDX-License-Identifier: GPL-2.0

//! The command line of `rogue backend`.

use super::attack::{find, Arena, Attack, ATTACKS};
use super::Vusb;
use crate::xen::DomId;
use crate::Result;
use std::time::Instant;

const USAGE: &str = "\
Usage: rogue backend [OPTION...] ATTACK...
Makes a vusb for a guest, and attacks the guest's frontend as its backend. The
guest should use the device, which is what the kernel's usbtest driver binds to.
After each attack the frontend must serve an honest backend.

  --guest DOMID        whose frontend
  --vusb N             which vusb, which must not be in use (default 0)
  --seed N             random numbers to use (default 1)
  --count N            how much of each attack (default 1000)
  --help               show this

Attacks, and what --count counts:
";

pub(crate) struct Options {
    pub(crate) guest: DomId,
    pub(crate) vusb: u16,
    pub(crate) seed: u64,
    pub(crate) count: u64,
    pub(crate) attacks: Vec<(usize, &'static Attack)>,
}

pub(crate) fn usage() -> String {
    let line = |attack: &Attack| {
        format!(
            "  {:<12} {:<12} {}\n",
            attack.name, attack.unit, attack.about
        )
    };
    ATTACKS
        .iter()
        .fold(USAGE.to_owned(), |text, attack| text + &line(attack))
}

impl Options {
    /// None: the words make no sense.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut guest = None;
        let mut options = Self {
            guest: 0,
            vusb: 0,
            seed: 1,
            count: 1000,
            attacks: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--guest" => guest = Some(words.next()?.parse().ok()?),
                "--vusb" => options.vusb = words.next()?.parse().ok()?,
                "--seed" => options.seed = words.next()?.parse().ok()?,
                "--count" => options.count = words.next()?.parse().ok()?,
                name => options.attacks.push(find(name)?),
            }
        }
        options.guest = guest?;
        (!options.attacks.is_empty()).then_some(options)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let vusb = Vusb::open(options.guest, options.vusb)?;
    for (place, attack) in &options.attacks {
        let mut arena = Arena {
            vusb: &vusb,
            random: crate::random_for(options.seed, *place),
            count: options.count,
        };
        let said = format!(
            "rogue backend: seed {}: {}: {} {}",
            options.seed, attack.name, options.count, attack.unit
        );
        println!("{said}");
        let start = Instant::now();
        (attack.run)(&mut arena).map_err(|error| format!("{}: {error}", attack.name))?;
        let took = start.elapsed();
        arena
            .check_fresh()
            .map_err(|error| format!("after {}: {error}", attack.name))?;
        println!(
            "{said}: survived in {:.1} s and {} connections",
            took.as_secs_f32(),
            vusb.invited.take()
        );
    }
    vusb.remove()
}
