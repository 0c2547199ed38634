// SPDX-License-Identifier: GPL-2.0

//! A hostile frontend: speaks to the backend of a vusb from a guest's user space
//! and breaks every rule of the interface, one family of attacks after the other.
//! After each it must still be able to behave: that is the check.
//!
//! `rogue backend` is the other way round: from dom0's user space it speaks to the
//! frontend of a guest. `rogue hog` uses up what a domain has of something.

mod attack;
mod backend;
mod frontend;
mod hog;
#[cfg(test)]
mod loopback;
#[cfg(not(test))]
mod xen;

#[cfg(test)]
use loopback::xen;

use attack::{Arena, Attack, Target, ATTACKS};
use frontend::Vusb;
use std::process::ExitCode;
use std::time::Instant;
use usbif::PortNumber;

/// What goes wrong, in words.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
Usage: rogue [OPTION...] ATTACK...
       rogue backend [OPTION...] ATTACK...   see rogue backend --help
       rogue hog WHAT                        see rogue hog --help
Attacks the backend of a vusb of this guest, which no driver may be using. After
each attack the devices must work as they should.

  --vusb N             which vusb (default 0)
  --device PORT:KIND:HEX
                       what is on a port: KIND is stick or other, HEX its device
                       descriptor; give it for each device, at least one
  --seed N             random numbers to use (default 1)
  --count N            how much of each attack (default 1000)
  --help               show this

Attacks, and what --count counts:
";

struct Options {
    vusb: u16,
    targets: Vec<Target>,
    seed: u64,
    count: u64,
    attacks: Vec<(usize, &'static Attack)>,
}

fn usage() -> String {
    let line = |attack: &Attack| {
        let end = if attack.fatal { "; ends the vusb" } else { "" };
        format!(
            "  {:<12} {:<12} {}{end}\n",
            attack.name, attack.unit, attack.about
        )
    };
    ATTACKS
        .iter()
        .fold(USAGE.to_owned(), |text, attack| text + &line(attack))
}

fn target(text: &str) -> Option<Target> {
    let mut parts = text.split(':');
    let (port, kind, hex) = (parts.next()?, parts.next()?, parts.next()?);
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    Some(Target {
        port: PortNumber::new(port.parse().ok()?)?,
        stick: match kind {
            "stick" => true,
            "other" => false,
            _ => return None,
        },
        descriptor: (0..hex.len()).step_by(2).map(byte).collect::<Option<_>>()?,
    })
}

/// None: the words make no sense.
fn parse(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        vusb: 0,
        targets: Vec::new(),
        seed: 1,
        count: 1000,
        attacks: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--vusb" => options.vusb = words.next()?.parse().ok()?,
            "--device" => options.targets.push(target(&words.next()?)?),
            "--seed" => options.seed = words.next()?.parse().ok()?,
            "--count" => options.count = words.next()?.parse().ok()?,
            name => options.attacks.push(attack::find(name)?),
        }
    }
    let enough = !options.targets.is_empty() && !options.attacks.is_empty();
    enough.then_some(options)
}

/// The random numbers of the attack at a place of its table, so that each can be played
/// again by itself.
fn random_for(seed: u64, place: usize) -> fastrand::Rng {
    let mut seeds = fastrand::Rng::with_seed(seed);
    fastrand::Rng::with_seed((0..=place).fold(0, |_, _| seeds.u64(..)))
}

fn run(options: &Options) -> Result<()> {
    let vusb = Vusb::open(options.vusb)?;
    for (place, attack) in &options.attacks {
        let mut arena = Arena {
            vusb: &vusb,
            targets: &options.targets,
            random: random_for(options.seed, *place),
            count: options.count,
        };
        let said = format!(
            "rogue: seed {}: {}: {} {}",
            options.seed, attack.name, options.count, attack.unit
        );
        println!("{said}");
        let start = Instant::now();
        (attack.run)(&mut arena).map_err(|error| format!("{}: {error}", attack.name))?;
        let (took, offers) = (start.elapsed(), vusb.take_offers());
        if !attack.fatal {
            arena
                .check_fresh()
                .map_err(|error| format!("after {}: {error}", attack.name))?;
        }
        println!(
            "{said}: survived in {:.1} s and {offers} connections",
            took.as_secs_f32()
        );
    }
    Ok(())
}

/// What the program can be.
enum Role {
    Frontend,
    Backend,
    Hog,
}

impl Role {
    /// From the first word, which goes if it says so.
    fn of(words: &mut Vec<String>) -> Self {
        let role = match words.first().map(String::as_str) {
            Some("backend") => Self::Backend,
            Some("hog") => Self::Hog,
            _ => return Self::Frontend,
        };
        words.remove(0);
        role
    }

    fn usage(&self) -> String {
        match self {
            Self::Frontend => usage(),
            Self::Backend => backend::usage(),
            Self::Hog => hog::USAGE.to_owned(),
        }
    }

    /// Does what the words say; None: they make no sense.
    fn run(&self, words: Vec<String>) -> Option<Result<()>> {
        Some(match self {
            Self::Frontend => run(&parse(words.into_iter())?),
            Self::Backend => backend::run(&backend::Options::parse(words.into_iter())?),
            Self::Hog => hog::run(hog::Good::parse(&words)?),
        })
    }
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let role = Role::of(&mut words);
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{}", role.usage());
        return ExitCode::SUCCESS;
    }
    match role.run(words) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("rogue: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprint!("{}", role.usage());
            ExitCode::from(2)
        }
    }
}
