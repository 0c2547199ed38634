// SPDX-License-Identifier: GPL-2.0

//! When to connect and when to let go, by what the backend's `state` says.

/// State of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The node is gone, or unreadable: so is the backend.
    Gone,
    /// Not ready for us.
    Preparing,
    /// Waits for us to publish the rings (InitWait, Initialised).
    Waiting,
    /// Has mapped the rings.
    Connected,
    /// Wants to end.
    Closing,
    /// Has ended.
    Closed,
}

/// What the shell has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Stay,
    /// Publish new rings and go to Connected.
    Connect,
    /// Give everything back and go to Closed.
    Disconnect,
    /// The backend has started anew under us: the one, then the other.
    Reconnect,
}

/// Where the frontend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Not connected; will connect as soon as the backend is ready.
    Waiting,
    /// Rings are published.
    Connected {
        /// The backend was seen to be Connected since: a later Waiting is not
        /// just news that come late.
        confirmed: bool,
    },
    /// Ended by an error of the backend's, or of our own: a new attempt would
    /// end the same way. Only unbinding leads out; the backend's end is still
    /// followed, and doing that twice must do no harm.
    Halted,
}

impl Lifecycle {
    /// Takes in the backend's state; `Waiting` and `Connected` follow the
    /// returned action on their own.
    pub fn backend(&mut self, backend: Backend) -> Action {
        use Backend as B;
        let (next, action) = match (*self, backend) {
            // Connected without us has not seen yet that the frontend before
            // us has closed: what we would publish now, it would not look at.
            (Self::Waiting, B::Waiting) => (Self::Connected { confirmed: false }, Action::Connect),
            (Self::Waiting, _) => (Self::Waiting, Action::Stay),
            (Self::Connected { .. }, B::Connected) => {
                (Self::Connected { confirmed: true }, Action::Stay)
            }
            (Self::Connected { confirmed: true }, B::Waiting) => {
                (Self::Connected { confirmed: false }, Action::Reconnect)
            }
            (Self::Connected { .. }, B::Closing | B::Closed | B::Gone) => {
                (Self::Waiting, Action::Disconnect)
            }
            (state @ Self::Connected { .. }, B::Waiting | B::Preparing) => (state, Action::Stay),
            (Self::Halted, B::Closing | B::Closed | B::Gone) => (Self::Halted, Action::Disconnect),
            (Self::Halted, _) => (Self::Halted, Action::Stay),
        };
        *self = next;
        action
    }
}
