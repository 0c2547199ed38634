// SPDX-License-Identifier: GPL-2.0

//! The handshake with a frontend: what to do when it shows a state.

/// What the frontend shows, as far as it makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// Its directory is gone, or what stands there is no state.
    Gone,
    /// It has not looked at its device yet, or is looking.
    Starting,
    /// It has published its rings (Initialised or Connected).
    Ready,
    /// It wants to end.
    Closing,
    /// It holds nothing of us any more.
    Closed,
}

/// What the backend has shown and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// InitWait; no rings.
    Waiting,
    /// The frontend's rings are mapped, in use or stopped after an error.
    Mapped,
    /// Closing or Closed; no rings.
    Ended,
}

/// What the backend does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing.
    Stay,
    /// Map the rings and show Connected.
    Connect,
    /// Show Closing; the rings stay until the frontend has closed.
    Close,
    /// Let go of everything, then wait for the next frontend: show Closed, then
    /// InitWait.
    Restart,
    /// Let go of everything, show Closed and unregister.
    End,
    /// Let go of everything and unregister: there is nobody to show a state to.
    Vanish,
}

/// Decides. `online`: the toolstack wants the device to stay (absent counts as
/// 1: the 2009 script writes none).
#[must_use]
pub const fn next_move(other: Other, own: Own, online: bool) -> Move {
    match (other, own, online) {
        (Other::Gone, _, _) => Move::Vanish,
        (Other::Ready, Own::Waiting, _) => Move::Connect,
        // After an error of ours it has to close first: its rings are spoilt.
        (Other::Ready, Own::Mapped | Own::Ended, _) => Move::Stay,
        (Other::Starting, Own::Waiting, true) => Move::Stay,
        // A frontend that starts anew without having closed: its kernel was
        // replaced, or its driver died. The old rings are void.
        (Other::Starting, Own::Mapped | Own::Ended, true) => Move::Restart,
        // Nobody is there who would have to close first.
        (Other::Starting, _, false) => Move::End,
        (Other::Closing, _, _) => Move::Close,
        // To show InitWait again would only make the frontend look again.
        (Other::Closed, Own::Waiting, true) => Move::Stay,
        (Other::Closed, _, true) => Move::Restart,
        (Other::Closed, _, false) => Move::End,
    }
}
