// SPDX-License-Identifier: GPL-2.0

//! Why a backend is given up.

use crate::memory::StillMapped;
use ring::Corrupt;
use usbfront_core::Lie;

/// Why nothing that the backend says is believed any more.
#[derive(Clone, Copy)]
pub(crate) enum Broken {
    /// A ring's indices are impossible.
    Indices,
    /// A message is not one: the reason.
    Message(&'static str),
    /// An answer to nothing.
    Lie(Lie),
    /// It keeps a page that it has answered for.
    StillMapped,
    /// A connection event for a port that there is not.
    NoPort(u8),
    /// An unlink was not answered in time.
    Silent,
    /// It has let go of the event channel, and not said so.
    Vanished,
    /// Our own accounting does not fit.
    Bug,
}

impl From<Corrupt> for Broken {
    fn from(_: Corrupt) -> Self {
        Broken::Indices
    }
}

impl From<Lie> for Broken {
    fn from(lie: Lie) -> Self {
        Broken::Lie(lie)
    }
}

impl From<StillMapped> for Broken {
    fn from(_: StillMapped) -> Self {
        Broken::StillMapped
    }
}

impl kernel::fmt::Display for Broken {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        match self {
            Broken::Indices => write!(f, "impossible ring indices"),
            Broken::Message(reason) => write!(f, "impossible message: {reason}"),
            Broken::Lie(Lie::Id(id)) => write!(f, "answer to request {id}, which is not there"),
            Broken::Lie(Lie::Length(id)) => {
                write!(f, "answer to request {id} with more data than fits")
            }
            Broken::Lie(Lie::Packet(id)) => {
                write!(f, "answer to request {id} with other packets than it has")
            }
            Broken::StillMapped => write!(f, "page still mapped after its answer"),
            Broken::NoPort(port) => write!(f, "connection on port {port}, which is not there"),
            Broken::Silent => write!(f, "no answer to an unlink"),
            Broken::Vanished => write!(f, "it has gone without a word"),
            Broken::Bug => write!(f, "more requests than slots"),
        }
    }
}
