// SPDX-License-Identifier: GPL-2.0

//! The states that the two halves of a device show each other in `state`.

use xen_sys::bindings;

/// A half's state (`enum xenbus_state` of `public/io/xenbus.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No `state` node, or a number that is none: treat the half as gone.
    Unknown,
    /// The half has been created and no driver has looked at it.
    Initialising,
    /// The backend is ready and waits for the frontend's rings.
    InitWait,
    /// The frontend has published its rings.
    Initialised,
    /// Rings are in use.
    Connected,
    /// An orderly end has been asked for.
    Closing,
    /// The half holds nothing of the other any more.
    Closed,
    /// The toolstack changes the device's nodes.
    Reconfiguring,
    /// The change is complete.
    Reconfigured,
}

impl State {
    /// The state with this number; [`State::Unknown`] for a number that is none.
    #[must_use]
    pub fn from_raw(raw: bindings::xenbus_state) -> Self {
        match raw {
            bindings::xenbus_state_XenbusStateInitialising => State::Initialising,
            bindings::xenbus_state_XenbusStateInitWait => State::InitWait,
            bindings::xenbus_state_XenbusStateInitialised => State::Initialised,
            bindings::xenbus_state_XenbusStateConnected => State::Connected,
            bindings::xenbus_state_XenbusStateClosing => State::Closing,
            bindings::xenbus_state_XenbusStateClosed => State::Closed,
            bindings::xenbus_state_XenbusStateReconfiguring => State::Reconfiguring,
            bindings::xenbus_state_XenbusStateReconfigured => State::Reconfigured,
            _ => State::Unknown,
        }
    }

    /// The state's number, as it stands in xenstore.
    #[must_use]
    pub fn as_raw(self) -> bindings::xenbus_state {
        match self {
            State::Unknown => bindings::xenbus_state_XenbusStateUnknown,
            State::Initialising => bindings::xenbus_state_XenbusStateInitialising,
            State::InitWait => bindings::xenbus_state_XenbusStateInitWait,
            State::Initialised => bindings::xenbus_state_XenbusStateInitialised,
            State::Connected => bindings::xenbus_state_XenbusStateConnected,
            State::Closing => bindings::xenbus_state_XenbusStateClosing,
            State::Closed => bindings::xenbus_state_XenbusStateClosed,
            State::Reconfiguring => bindings::xenbus_state_XenbusStateReconfiguring,
            State::Reconfigured => bindings::xenbus_state_XenbusStateReconfigured,
        }
    }
}
