// SPDX-License-Identifier: GPL-2.0

//! The names that the kernel has for a physical port.

/// A bus name taken apart: the hub's bus name and the port on it.
#[derive(PartialEq, Eq)]
pub(crate) struct PortName {
    hub: [u8; Self::MAX],
    length: usize,
    port: u8,
}

impl PortName {
    /// The longest name of a hub: bus number, dash, `devpath` of 16 bytes.
    const MAX: usize = 32;

    /// None if `busname` is not `BUS-PORT[.PORT]...`.
    pub(crate) fn parse(busname: &[u8]) -> Option<Self> {
        let split = busname.iter().rposition(|&b| b == b'.' || b == b'-')?;
        let (hub, rest) = busname.split_at_checked(split)?;
        let (separator, port) = rest.split_first()?;
        let clean = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'-');
        if !busname.iter().all(clean) || !hub.first()?.is_ascii_digit() {
            return None;
        }
        if (*separator == b'-') == hub.contains(&b'-') {
            return None;
        }
        let prefix: &[u8] = if *separator == b'-' { b"usb" } else { b"" };
        Self::new([prefix, hub], port)
    }

    /// Reads the name of a port's own device, `usb1-port2` or `1-2-port3`: None if it is
    /// not like that.
    pub(crate) fn parse_port_device(name: &[u8]) -> Option<Self> {
        const MIDDLE: &[u8] = b"-port";
        let split = name
            .windows(MIDDLE.len())
            .rposition(|part| part == MIDDLE)?;
        let (hub, rest) = name.split_at_checked(split)?;
        Self::new([b"", hub], rest.strip_prefix(MIDDLE)?)
    }

    /// The hub's name comes in two parts, the port in digits.
    fn new(hub: [&[u8]; 2], port: &[u8]) -> Option<Self> {
        let digits = port.iter().all(u8::is_ascii_digit) && port.first() != Some(&b'0');
        let mut name = Self {
            hub: [0; Self::MAX],
            length: 0,
            port: core::str::from_utf8(port)
                .ok()
                .filter(|_| digits)?
                .parse()
                .ok()?,
        };
        for part in hub {
            let end = name.length.checked_add(part.len())?;
            name.hub.get_mut(name.length..end)?.copy_from_slice(part);
            name.length = end;
        }
        Some(name)
    }

    /// The hub's bus name: `1-2`, or `usb1` for a root hub.
    pub(crate) fn hub(&self) -> &[u8] {
        self.hub.get(..self.length).unwrap_or_default()
    }

    /// The port on it, from 1.
    pub(crate) fn port(&self) -> u8 {
        self.port
    }
}
