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

/// The first controller; its USB 2 root hub has the ports 0 to 14.
const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";
/// Ports of its USB 2 root hub (CONFIG_USBIP_VHCI_HC_PORTS in Debian).
pub const PORTS: u8 = 15;
/// A port is free again a moment after its device has gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plugs a device into a port, counted from 1 as root hubs do; returns its end.
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
        port - 1,
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
