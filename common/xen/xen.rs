// SPDX-License-Identifier: GPL-2.0

//! Xen for drivers, without `unsafe`: devices and drivers on the xenbus, the
//! xenstore, grants, shared ring pages, event channels, and the queues that
//! their interrupts and watches hand work to.
//!
//! The far end is hostile everywhere here. What it writes is copied once, with
//! a bound, and never referenced in place; what it holds mapped is never freed.
//!
//! Three kinds of callback reach a driver, and each may be running at any time
//! until the object that registered it has been dropped:
//!
//! | callback | context | object |
//! | --- | --- | --- |
//! | `evtchn::Handler::event` | hard interrupt | `EventChannel` |
//! | `watch::Handler::changed` | the kernel's one xenwatch thread | `Watch` |
//! | `timer::Handler::expired` | worker of its queue | `Timer` |
//!
//! All of them should only enqueue work on an [`queue::WorkQueue`].

pub mod evtchn;
pub mod global;
pub mod grant;
pub mod grant_copy;
pub mod pages;
pub mod patience;
pub mod queue;
pub mod ratelimit;
pub mod ring_page;
pub mod timer;
pub mod transaction;
pub mod watch;
pub mod xenbus;
pub mod xenstore;

mod device;
mod device_file;
mod driver;
mod state;

/// Prefix of this crate's own log lines.
const __LOG_PREFIX: &[u8] = b"pvusb\0";

/// A domain's number. Valid ones are below [`DOMID_FIRST_RESERVED`].
pub type DomId = u16;

/// First number that is no domain's (`public/xen.h`); special meanings follow.
pub const DOMID_FIRST_RESERVED: DomId = 0x7ff0;

/// Whether this kernel runs as a domain of Xen, dom0 included.
#[must_use]
pub fn domain() -> bool {
    // SAFETY: Reads a variable that is constant after boot.
    unsafe { xen_sys::bindings::pvusb_helper_xen_domain() }
}
