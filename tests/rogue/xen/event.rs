// SPDX-License-Identifier: GPL-2.0

//! Event channels through `/dev/xen/evtchn` (include/uapi/xen/evtchn.h).

#![allow(unsafe_code)]

use super::ioctl::{call, Argument};
use super::DomId;
use crate::Result;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

/// `struct ioctl_evtchn_bind_unbound_port` and `struct ioctl_evtchn_notify`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Word(u32);

// SAFETY: One unsigned int, as in both structures.
unsafe impl Argument for Word {}

/// `struct ioctl_evtchn_bind_interdomain`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Remote {
    domain: u32,
    port: u32,
}

// SAFETY: As the header has it.
unsafe impl Argument for Remote {}

const GROUP: u8 = b'E';
const BIND_INTERDOMAIN: u8 = 1;
const BIND_UNBOUND_PORT: u8 = 2;
const NOTIFY: u8 = 4;

/// Our end of a channel.
pub(crate) struct Channel {
    file: File,
    port: u32,
}

impl Channel {
    fn open() -> Result<File> {
        Ok(File::options()
            .read(true)
            .write(true)
            .open("/dev/xen/evtchn")?)
    }

    /// The other end of the channel that `remote` has allocated for us.
    pub(crate) fn bind(remote: DomId, port: u32) -> Result<Self> {
        let file = Self::open()?;
        let mut remote = Remote {
            domain: remote.into(),
            port,
        };
        let port = call(&file, GROUP, BIND_INTERDOMAIN, &mut remote)?;
        Ok(Self { file, port })
    }

    /// A channel that `remote` may bind to.
    pub(crate) fn allocate(remote: DomId) -> Result<Self> {
        let file = Self::open()?;
        let port = call(&file, GROUP, BIND_UNBOUND_PORT, &mut Word(remote.into()))?;
        Ok(Self { file, port })
    }

    /// Its number, for the node `event-channel`.
    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    /// Signals the other end.
    pub(crate) fn notify(&self) -> Result<()> {
        call(&self.file, GROUP, NOTIFY, &mut Word(self.port))?;
        Ok(())
    }

    /// Waits for an event; false if none came in time.
    pub(crate) fn wait(&self, limit: Duration) -> Result<bool> {
        let limit = Timespec::try_from(limit).map_err(|_| "a limit too long")?;
        let mut files = [PollFd::new(&self.file, PollFlags::IN)];
        if poll(&mut files, Some(&limit))? == 0 {
            return Ok(false);
        }
        let mut port = [0; 4];
        (&self.file).read_exact(&mut port)?;
        // Written back, it is unmasked.
        (&self.file).write_all(&port)?;
        Ok(true)
    }
}
