// SPDX-License-Identifier: GPL-2.0

//! Puts a device into a port of the kernel's virtual controller.
//!
//! vhci_hcd takes the number of a connected stream socket of the process that
//! writes to its `attach` file (drivers/usb/usbip/vhci_sysfs.c); any stream
//! socket will do, so a socket pair saves the network. When our end closes, the
//! kernel sees the device unplugged.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::device::Speed;

/// The first controller, whose `attach` file is that of all of them.
const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";
/// Ports of a controller's USB 2 root hub (CONFIG_USBIP_VHCI_HC_PORTS in Debian);
/// it has as many on its USB 3 root hub, and the file counts both.
const HUB_PORTS: u8 = 15;
/// Ports of all controllers' USB 2 root hubs (CONFIG_USBIP_VHCI_NR_HCS is 8).
pub const PORTS: u8 = 8 * HUB_PORTS;
/// A port is free again a moment after its device has gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plugs a device into a port; returns its end. Ports are counted from 1, as root
/// hubs do, on from one controller to the next: 16 is port 1 of the second.
///
/// # Errors
/// If there is no such port, it stays occupied, or the module is not loaded.
pub fn attach(port: u8, speed: Speed) -> io::Result<UnixStream> {
    if !(1..=PORTS).contains(&port) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("ports are 1 to {PORTS}"),
        ));
    }
    let (ours, kernels) = UnixStream::pair()?;
    // The kernel does nothing with the device id but send it back to us.
    let line = format!(
        "{} {} {} {}",
        number(port),
        kernels.as_raw_fd(),
        port,
        speed as u32
    );
    let deadline = Instant::now() + PATIENCE;
    loop {
        match fs::write(format!("{CONTROLLER}/attach"), &line) {
            Ok(()) => return Ok(ours),
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(50));
            }
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("{CONTROLLER}/attach: {error}"),
                ))
            }
        }
    }
}

/// What vhci_hcd calls a port.
const fn number(port: u8) -> u8 {
    let index = port - 1;
    index / HUB_PORTS * (2 * HUB_PORTS) + index % HUB_PORTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usb3_ports_are_left_out() {
        assert_eq!([1, 15, 16, 30, 31].map(number), [0, 14, 30, 44, 60]);
        assert_eq!(number(PORTS), 7 * 30 + 14);
    }
}
