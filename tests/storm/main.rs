// SPDX-License-Identifier: GPL-2.0

//! A storm of URBs that are submitted and taken back by several threads, to
//! devices that echo. Each must come back exactly once, and no data may be
//! lost, repeated or invented by that.

mod ledger;
#[cfg(test)]
mod ledger_tests;
mod mapped;
mod message;
mod target;
mod usbfs;

use fastrand::Rng;
use ledger::Totals;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;
use target::Target;

/// What goes wrong, in words.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "\
Usage: storm [OPTION...] NODE...
       storm --mapped NODE
       storm --hold NODE
Submits URBs to simulated devices of kind echo, given by their usbfs nodes, and
takes each back at a random moment. Says what has come of them.

With --mapped, reads 64 pages of a device of kind zero, one after the other,
into memory that is mapped from its node. With --hold, maps a page from the node
of any device and keeps it.

  --threads N   for each device (default 2)
  --pairs N     URBs that are submitted and taken back in all (default 1000)
  --seed N      random numbers to use (default 1)
  --help        show this
";

/// Pages that are read with `--mapped`.
const MAPPED: usize = 64;

struct Options {
    nodes: Vec<String>,
    threads: usize,
    pairs: usize,
    seed: u64,
}

/// None: the words make no sense.
fn parse(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        nodes: Vec::new(),
        threads: 2,
        pairs: 1000,
        seed: 1,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--threads" => options.threads = words.next()?.parse().ok()?,
            "--pairs" => options.pairs = words.next()?.parse().ok()?,
            "--seed" => options.seed = words.next()?.parse().ok()?,
            _ if word.starts_with('-') => return None,
            _ => options.nodes.push(word),
        }
    }
    (!options.nodes.is_empty() && options.threads > 0).then_some(options)
}

fn run(options: &Options) -> Result<()> {
    let targets: Vec<Target> = options
        .nodes
        .iter()
        .map(|node| Target::open(node))
        .collect::<Result<_>>()?;
    let mut seeds = Rng::with_seed(options.seed);
    let threads = targets.len() * options.threads;
    let start = Instant::now();
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let target = &targets[thread % targets.len()];
                // The first ones take what the division leaves.
                let pairs = (options.pairs + threads - 1 - thread) / threads;
                let random = Rng::with_seed(seeds.u64(..));
                scope.spawn(move || target.rage(pairs, random))
            })
            .collect();
        running
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread has panicked")?)
    })?;
    let raged = start.elapsed();
    for target in &targets {
        report(&target.settle()?);
    }
    println!(
        "raged={:.1} settled={:.1} slowest_ms={}",
        raged.as_secs_f32(),
        (start.elapsed() - raged).as_secs_f32(),
        targets.iter().map(Target::slowest).max().unwrap_or(0)
    );
    Ok(())
}

fn report(totals: &Totals) {
    let Totals {
        urbs,
        completed,
        short,
        cancelled,
        late,
        bytes_in,
        bytes_out,
        most,
    } = totals;
    println!(
        "urbs={urbs} completed={completed} short={short} cancelled={cancelled} late={late} \
         bytes_in={bytes_in} bytes_out={bytes_out} most={most}"
    );
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let done = match words.as_slice() {
        [option, node] if option == "--mapped" => mapped::read(node, MAPPED),
        [option, node] if option == "--hold" => mapped::hold(node),
        _ => match parse(words.into_iter()) {
            Some(options) => run(&options),
            None => {
                eprint!("{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("storm: {error}");
            ExitCode::FAILURE
        }
    }
}
