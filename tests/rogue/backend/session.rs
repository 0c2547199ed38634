// SPDX-License-Identifier: GPL-2.0

//! A connection with the device on port 1, honest as long as an attack lets it.

use super::device::Honest;
use super::link::Link;
use super::{Vusb, PATIENCE};
use crate::Result;
use std::time::{Duration, Instant};
use usbif::{Kind, Request, Response, Segments, Speed, Status, Submit};

/// A guest that asks for nothing so long is shown the device anew: its driver may
/// have been told something that made it give up.
const BORED: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2000 });

/// Transfers that are served until an isochronous one comes.
const OTHERS: u32 = 20_000;

/// Where the device is.
const PORT: u8 = 1;

pub(crate) struct Session<'a> {
    pub(crate) vusb: &'a Vusb,
    pub(crate) link: Link,
    pub(crate) device: Honest,
}

impl<'a> Session<'a> {
    /// Rings that are shown to be in use, and the device.
    pub(super) fn new(vusb: &'a Vusb, link: Link) -> Result<Self> {
        let device = Honest::new(link.foreign.clone())?;
        Ok(Self { vusb, link, device })
    }

    /// Says what is on the device's port.
    pub(crate) fn plug(&mut self, speed: Speed) -> Result<()> {
        self.device.reset();
        self.link.push_event(None, PORT, speed.wire())?;
        self.link.publish()
    }

    /// The next request; None if the frontend has given us up.
    pub(crate) fn request(&mut self) -> Result<Option<Request>> {
        let start = Instant::now();
        loop {
            if let Some(request) = self.link.take(BORED)? {
                return Ok(Some(request));
            }
            if !self.vusb.is_connected()? {
                return Ok(None);
            }
            if start.elapsed() > PATIENCE {
                return Err("the guest asks for nothing".into());
            }
            self.plug(Speed::None)?;
            self.plug(Speed::High)?;
        }
    }

    /// The next transfer; None if the frontend has given us up.
    pub(crate) fn transfer(&mut self) -> Result<Option<Submit>> {
        loop {
            let Some(request) = self.request()? else {
                return Ok(None);
            };
            if let Some(submit) = self.sort(&request)? {
                return Ok(Some(submit));
            }
        }
    }

    /// The next transfer, of a frontend that has no reason to give us up.
    pub(crate) fn honest_transfer(&mut self) -> Result<Submit> {
        self.transfer()?
            .ok_or_else(|| "the frontend gives an honest backend up".into())
    }

    /// The next isochronous transfer, and where its descriptors are. The others are served
    /// as they should be.
    pub(crate) fn isochronous(&mut self) -> Result<(Submit, Segments)> {
        for _ in 0..OTHERS {
            let submit = self
                .transfer()?
                .ok_or("the frontend gives up a backend that has told no lie")?;
            if let Kind::Isochronous { descriptors, .. } = submit.kind {
                return Ok((submit, descriptors));
            }
            let response = self.device.transfer(&submit)?;
            self.answer(&response)?;
        }
        Err("the guest does no isochronous transfers".into())
    }

    /// A transfer that is there already.
    pub(crate) fn ready(&mut self) -> Result<Option<Submit>> {
        match self.link.take(Duration::ZERO)? {
            Some(request) => self.sort(&request),
            None => Ok(None),
        }
    }

    /// Picks the transfers out; an unlink is answered at once.
    fn sort(&mut self, request: &Request) -> Result<Option<Submit>> {
        let Request::Submit(submit) = request else {
            let done = Response::plain(request.id(), Status::Ok);
            return self.answer(&done).map(|()| None);
        };
        // Only a device that was reset has no address.
        if submit.device == 0 {
            self.device.reset();
        }
        Ok(Some(*submit))
    }

    /// Says something, honest in form.
    pub(crate) fn answer(&mut self, response: &Response) -> Result<()> {
        self.say(&response.encode())
    }

    /// Says anything in answer to a request that was taken.
    pub(crate) fn say(&mut self, answer: &[u8]) -> Result<()> {
        self.link.push(answer)?;
        self.link.publish()
    }

    /// Serves so many transfers as they should be. An error if the frontend gives
    /// up.
    pub(crate) fn serve(&mut self, count: u32) -> Result<()> {
        for _ in 0..count {
            let submit = self.honest_transfer()?;
            let response = self.device.transfer(&submit)?;
            self.answer(&response)?;
        }
        Ok(())
    }

    /// The device works: it is configured, and transfers come after that.
    pub(crate) fn check(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.device.is_configured() {
            if start.elapsed() > PATIENCE {
                return Err("the guest does not configure an honest device".into());
            }
            self.serve(1)?;
        }
        self.serve(32)
    }
}
