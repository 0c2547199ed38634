// SPDX-License-Identifier: GPL-2.0

//! What the scheduler keeps of a URB and of an endpoint.

use crate::list::{Entry, Links, List};
use crate::transfer::{Shape, Transfer};
use usbif::Direction;

/// Number of a URB that the scheduler has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(pub u32);

/// Number of an endpoint that the scheduler knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointId(pub u32);

/// A URB, or a free place for one.
#[derive(Debug)]
pub struct Job<P> {
    /// What the shell needs to know of it; `None` in a free place.
    pub(crate) payload: Option<P>,
    pub(crate) endpoint: u32,
    pub(crate) transfer: Transfer,
    /// Whether it is listed with those that have requests to unlink, rather
    /// than with those of its endpoint that have requests to send. Never both.
    pub(crate) unlinking: bool,
    pub(crate) links: Links,
}

impl<P> Entry for Job<P> {
    fn vacant() -> Self {
        Self {
            payload: None,
            endpoint: 0,
            transfer: Transfer::new(Shape::Stream, Direction::Out, 0, 1),
            unlinking: false,
            links: Links::default(),
        }
    }

    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// Whether an endpoint's queue moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It does.
    #[default]
    Free,
    /// A URB has failed or was cancelled.
    Held,
    /// As [`Held`](Self::Held), and the completions of those URBs are being
    /// waited for.
    Leaving,
}

/// An endpoint, or a free place for one. It is listed while it has something to
/// send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Endpoint {
    pub(crate) used: bool,
    /// Jobs with requests to send, in order.
    pub(crate) waiting: List,
    /// Jobs that are not finished, sent or not.
    pub(crate) jobs: u32,
    pub(crate) in_flight: u8,
    pub(crate) hold: Hold,
    pub(crate) links: Links,
}

impl Entry for Endpoint {
    fn vacant() -> Self {
        Self::default()
    }

    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// A job that is over.
#[derive(Debug)]
pub struct Finished<P> {
    /// What was submitted.
    pub payload: P,
    /// 0 or a negative errno.
    pub status: i32,
    /// Bytes moved.
    pub actual: u32,
}
