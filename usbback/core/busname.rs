// SPDX-License-Identifier: GPL-2.0

//! The kernel's name of a place where a USB device can be: `4-1`, `1-2.3`.
//!
//! Bus number, dash, port of the root hub, then a dot and a port for each hub
//! on the way. It names a physical port, whatever is plugged in there.

use core::fmt;

/// Longest name: a bus number of five digits, the dash, six ports of three
/// digits, five dots.
const LONGEST: usize = 29;
/// Ports from the root hub to a device: there are at most seven tiers (USB 2.0,
/// section 4.1.1), of which the first is the root hub itself.
const TIERS: usize = 6;

/// A well-formed bus name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BusName {
    // The unused rest is zero, so that names compare as arrays.
    bytes: [u8; LONGEST],
    length: u8,
}

impl BusName {
    /// Reads `N-N(.N)*`: the bus at most 65535, ports 1..=255 (bNbrPorts is a
    /// byte), at most six of them. One way to write each: no leading zeros.
    #[must_use]
    pub fn parse(name: &[u8]) -> Option<Self> {
        let dash = name.iter().position(|&byte| byte == b'-')?;
        let (bus, rest) = name.split_at_checked(dash)?;
        let (_, ports) = rest.split_first()?;
        number(bus).filter(|bus| (1..=0xffff).contains(bus))?;
        let mut tiers: usize = 0;
        for port in ports.split(|&byte| byte == b'.') {
            number(port).filter(|port| (1..=255).contains(port))?;
            tiers = tiers.saturating_add(1);
        }
        if tiers > TIERS {
            return None;
        }
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        // At most LONGEST by the line above.
        let length = u8::try_from(name.len()).ok()?;
        Some(Self { bytes, length })
    }

    /// The name as it was read.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Digits, dash and dots.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The port of the hub, if this is a place on the hub with that name
    /// (`usb1` for the root hub of bus 1).
    #[must_use]
    pub fn port_on(&self, hub: &[u8]) -> Option<u8> {
        let name = self.as_bytes();
        let last = name
            .iter()
            .rposition(|&byte| byte == b'.' || byte == b'-')?;
        let (parent, rest) = name.split_at_checked(last)?;
        let (separator, port) = rest.split_first()?;
        let same = if *separator == b'-' {
            hub.strip_prefix(b"usb") == Some(parent)
        } else {
            hub == parent
        };
        same.then(|| number(port))
            .flatten()
            .and_then(|port| u8::try_from(port).ok())
    }
}

/// A bus name as libxl spells it where dots are not allowed: `1-2_3` for `1-2.3`
/// (libxl_usb.c, `usb_interface_xenstore_encode`).
pub struct LibxlName<'a>(pub &'a BusName);

impl fmt::Display for LibxlName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_str().chars().try_for_each(|c| {
            let c = if c == '.' { '_' } else { c };
            fmt::Write::write_char(f, c)
        })
    }
}

impl fmt::Display for BusName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BusName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads 1 to 5 decimal digits. No sign, no space, no leading zero.
pub(crate) fn number(digits: &[u8]) -> Option<u32> {
    match digits {
        [] | [b'0', _, ..] => return None,
        _ if digits.len() > 5 => return None,
        _ => {}
    }
    digits.iter().try_fold(0u32, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        number.checked_mul(10)?.checked_add(u32::from(digit))
    })
}
