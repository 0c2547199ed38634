// SPDX-License-Identifier: GPL-2.0

//! `rogue hog`: takes all that this domain may have of something, and keeps it.

use crate::xen::event::Channel;
use crate::xen::grant::{Access, Grants};
use crate::Result;

pub(crate) const USAGE: &str = "\
Usage: rogue hog grants|channels
Takes grants (of modprobe xen-gntalloc limit=N, at most N) or event channels until
there are no more, says how many it has, and keeps them until it is killed.
";

/// What can be used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Good {
    Grants,
    Channels,
}

impl Good {
    /// None: the words make no sense.
    pub(crate) fn parse(words: &[String]) -> Option<Self> {
        match words {
            [word] if word == "grants" => Some(Self::Grants),
            [word] if word == "channels" => Some(Self::Channels),
            _ => None,
        }
    }
}

/// All that there is, and why there is no more.
fn take<T>(mut one: impl FnMut() -> Result<T>) -> (Vec<T>, String) {
    let mut taken = Vec::new();
    loop {
        match one() {
            Ok(item) => taken.push(item),
            Err(error) => return (taken, error.to_string()),
        }
    }
}

fn keep<T>(one: impl FnMut() -> Result<T>) -> Result<()> {
    let (taken, why) = take(one);
    println!("{} taken: {why}", taken.len());
    loop {
        std::thread::park();
    }
}

/// Does not return unless it cannot begin.
pub(crate) fn run(good: Good) -> Result<()> {
    match good {
        Good::Grants => {
            let grants = Grants::open()?;
            keep(|| grants.page(0, Access::Read))
        }
        Good::Channels => keep(|| Channel::allocate(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_all_there_is() {
        let mut left = 3;
        let (taken, why) = take(|| {
            left -= 1;
            (left >= 0).then_some(()).ok_or_else(|| "no more".into())
        });
        assert_eq!((taken.len(), why.as_str()), (3, "no more"));
    }

    #[test]
    fn what_there_is_to_take() {
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(Good::parse(&words("grants")), Some(Good::Grants));
        assert_eq!(Good::parse(&words("channels")), Some(Good::Channels));
        for wrong in ["", "pages", "grants channels"] {
            assert_eq!(Good::parse(&words(wrong)), None);
        }
    }
}
