// SPDX-License-Identifier: GPL-2.0

//! Hotplug rules: `<usbbusname>:<domid>:<vusb>:<port>`.

use crate::busname::number;
use crate::BusName;
use core::fmt;
use usbif::PortNumber;

/// First number that is no domain's (`public/xen.h`).
pub const DOMID_FIRST_RESERVED: u16 = 0x7ff0;

/// A port of a guest's virtual host controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Domain, below [`DOMID_FIRST_RESERVED`].
    pub domid: u16,
    /// Which of the domain's virtual host controllers.
    pub vusb: u16,
    /// Port of its root hub.
    pub port: PortNumber,
}

/// The device on this physical port belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Physical port.
    pub busname: BusName,
    /// Where it goes.
    pub target: Target,
}

/// Not a rule: EINVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRule;

impl Rule {
    /// Reads a rule: one line at most, its end optional, nothing else around.
    ///
    /// # Errors
    /// [`BadRule`] if anything is malformed, too large or too much.
    pub fn parse(text: &[u8]) -> Result<Self, BadRule> {
        Self::read(text.strip_suffix(b"\n").unwrap_or(text)).ok_or(BadRule)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let mut fields = text.split(|&byte| byte == b':');
        let busname = BusName::parse(fields.next()?)?;
        let domid = number(fields.next()?)
            .and_then(|domid| u16::try_from(domid).ok())
            .filter(|&domid| domid < DOMID_FIRST_RESERVED)?;
        let vusb = number(fields.next()?).and_then(|vusb| u16::try_from(vusb).ok())?;
        let port = number(fields.next()?)
            .and_then(|port| u8::try_from(port).ok())
            .and_then(PortNumber::new)?;
        match fields.next() {
            Some(_) => None,
            None => Some(Self {
                busname,
                target: Target { domid, vusb, port },
            }),
        }
    }
}

impl fmt::Display for Rule {
    /// The format that [`Rule::parse`] reads, without end of line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.busname, self.target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.domid, self.vusb, self.port.get())
    }
}

/// What a new rule collides with: EEXIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The very same rule.
    Same,
    /// The physical port goes somewhere else.
    BusName,
    /// Another physical port goes there.
    Target,
}

/// Whether a rule can join those that exist.
///
/// # Errors
/// [`Taken`] if a physical port or a port of a guest would be used twice.
pub fn admit<'a>(existing: impl IntoIterator<Item = &'a Rule>, new: &Rule) -> Result<(), Taken> {
    for rule in existing {
        match (rule.busname == new.busname, rule.target == new.target) {
            (true, true) => return Err(Taken::Same),
            (true, false) => return Err(Taken::BusName),
            (false, true) => return Err(Taken::Target),
            (false, false) => {}
        }
    }
    Ok(())
}
