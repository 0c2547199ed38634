// SPDX-License-Identifier: GPL-2.0

//! An honest driver's use of a device: USB 2.0, chapter 9.

use super::connection::Connection;
use super::Vusb;
use crate::xen::grant::{Access, Page};
use crate::Result;
use ring::{SharedPage, PAGE_SIZE};
use std::time::Duration;
use usbif::{
    Direction, Indirect, Kind, PortNumber, Segment, Segments, SetupPacket, Status, Submit,
    URB_ENTRY,
};

/// Longest honest request: a reset of a port may come before it.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 60 });

const DEVICE_DESCRIPTOR: u16 = 0x100;
const CONFIGURATION_DESCRIPTOR: u16 = 0x200;
const ENDPOINT: u8 = 5;

/// So much of a page goes into each segment of a list: those of the longest transfer, of
/// 32 KiB, are as many as a list can have, and more than an entry.
const PART: usize = PAGE_SIZE / 4;

/// An endpoint other than 0, as its descriptor has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    /// bEndpointAddress.
    pub(crate) address: u8,
    /// Transfer type: 1 isochronous, 2 bulk, 3 interrupt.
    pub(crate) kind: u8,
}

impl Endpoint {
    pub(crate) fn direction(&self) -> Direction {
        if self.address & 0x80 != 0 {
            Direction::In
        } else {
            Direction::Out
        }
    }
}

/// A device on a port, configured.
pub(crate) struct Device {
    pub(crate) port: PortNumber,
    pub(crate) address: u8,
    pub(crate) endpoints: Vec<Endpoint>,
    /// For data of 64 KiB.
    pages: Vec<Page>,
    /// For a list of segments.
    list: Page,
    /// Whether the next bulk transfer has one, as every other.
    listed: bool,
}

/// Segments of `length` bytes in pages that are filled one after the other.
pub(crate) fn segments(pages: &[Page], length: usize) -> Result<Segments> {
    segments_of(PAGE_SIZE, pages, length)
}

/// The same, each of `most` bytes, into which a page can be divided, or less.
fn segments_of(most: usize, pages: &[Page], length: usize) -> Result<Segments> {
    let mut out = Segments::EMPTY;
    let mut left = length;
    let places = pages
        .iter()
        .flat_map(|page| (0..PAGE_SIZE).step_by(most).map(move |at| (page, at)));
    for (page, at) in places {
        let part = left.min(most);
        if part == 0 {
            break;
        }
        let segment = Segment {
            gref: page.gref(),
            offset: u16::try_from(at)?,
            length: u16::try_from(part)?,
        };
        out.push(segment).map_err(|_| "too many segments")?;
        left -= part;
    }
    if left > 0 {
        return Err("too much data for one request".into());
    }
    Ok(out)
}

impl Device {
    /// Resets the port, addresses and configures what is there, and compares its
    /// device descriptor with what it must be.
    pub(crate) fn enumerate(
        vusb: &Vusb,
        connection: &mut Connection,
        port: PortNumber,
        descriptor: &[u8],
    ) -> Result<Self> {
        let mut this = Self {
            port,
            address: 0,
            endpoints: Vec::new(),
            pages: vusb.pages(16)?,
            list: vusb.page(Access::Read)?,
            listed: false,
        };
        this.get_descriptor(connection, DEVICE_DESCRIPTOR, 18)?;
        let address = port.get() + 1;
        this.control(connection, [0, 5, address, 0, 0, 0, 0, 0], &[])?;
        this.address = address;
        let got = this.get_descriptor(connection, DEVICE_DESCRIPTOR, 18)?;
        if got != descriptor {
            return Err(format!("port {}: the device descriptor is {got:02x?}", port.get()).into());
        }
        let configuration = this.get_descriptor(connection, CONFIGURATION_DESCRIPTOR, 1024)?;
        let value = *configuration
            .get(5)
            .ok_or("a short configuration descriptor")?;
        this.control(connection, [0, 9, value, 0, 0, 0, 0, 0], &[])?;
        this.endpoints = endpoints(&configuration);
        Ok(this)
    }

    fn get_descriptor(
        &mut self,
        connection: &mut Connection,
        which: u16,
        length: u16,
    ) -> Result<Vec<u8>> {
        let [value_low, value_high] = which.to_le_bytes();
        let [low, high] = length.to_le_bytes();
        self.control(
            connection,
            [0x80, 6, value_low, value_high, 0, 0, low, high],
            &[],
        )
    }

    /// A control transfer; returns what the device has sent.
    pub(crate) fn control(
        &mut self,
        connection: &mut Connection,
        setup: [u8; 8],
        data: &[u8],
    ) -> Result<Vec<u8>> {
        let setup = SetupPacket(setup);
        let length = usize::from(setup.length());
        self.transfer(
            connection,
            0,
            setup.direction(),
            Kind::Control(setup),
            length,
            data,
        )
    }

    /// A bulk transfer to an endpoint address; returns what the device has sent.
    pub(crate) fn bulk(
        &mut self,
        connection: &mut Connection,
        address: u8,
        length: usize,
        data: &[u8],
    ) -> Result<Vec<u8>> {
        let direction = if address & 0x80 != 0 {
            Direction::In
        } else {
            Direction::Out
        };
        self.transfer(
            connection,
            address & 0x0f,
            direction,
            Kind::Bulk,
            length,
            data,
        )
    }

    fn transfer(
        &mut self,
        connection: &mut Connection,
        endpoint: u8,
        direction: Direction,
        kind: Kind,
        length: usize,
        data: &[u8],
    ) -> Result<Vec<u8>> {
        for (page, bytes) in self.pages.iter().zip(data.chunks(PAGE_SIZE)) {
            page.write(0, bytes);
        }
        let listed = kind == Kind::Bulk && length > 0 && std::mem::take(&mut self.listed);
        self.listed |= kind == Kind::Bulk && !listed;
        let submit = Submit {
            id: connection.fresh_id(),
            port: self.port,
            device: self.address,
            endpoint,
            direction,
            short_not_ok: false,
            kind,
            data: match listed {
                true => segments_of(PART, &self.pages, length)?,
                false => segments(&self.pages, length)?,
            },
        };
        let entry = match listed {
            true => listed_in(&self.list, 0, &submit),
            false => submit.entry(),
        };
        let response = connection.transact(&entry, PATIENCE)?;
        if response.status != Status::Ok {
            return Err(format!(
                "port {}: {kind:?} ended with {:?}",
                self.port.get(),
                response.status
            )
            .into());
        }
        let moved = response.actual_length as usize;
        if direction == Direction::Out {
            return Ok(Vec::new());
        }
        let mut got: Vec<u8> = self
            .pages
            .iter()
            .flat_map(|page| page.copy(0, PAGE_SIZE))
            .collect();
        got.truncate(moved);
        Ok(got)
    }
}

/// The entry of a transfer whose segments are listed from this byte of a page on.
pub(crate) fn listed_in(page: &Page, offset: u16, submit: &Submit) -> [u8; URB_ENTRY] {
    let mut list = [0; Indirect::LIST];
    submit.write_list(&mut list);
    page.write(offset.into(), &list);
    submit.entry_with_list(Segment {
        gref: page.gref(),
        offset,
        length: 0,
    })
}

/// The endpoints of all settings of all interfaces.
fn endpoints(configuration: &[u8]) -> Vec<Endpoint> {
    let mut out = Vec::new();
    let mut rest = configuration;
    while let [length, kind, ..] = *rest {
        if length < 2 || usize::from(length) > rest.len() {
            break;
        }
        if kind == ENDPOINT && length >= 4 {
            out.push(Endpoint {
                address: rest[2],
                kind: rest[3] & 3,
            });
        }
        rest = &rest[usize::from(length)..];
    }
    out
}
