// SPDX-License-Identifier: GPL-2.0

//! A domain's own Xen interfaces, without any driver of ours in between.

pub(crate) mod event;
pub(crate) mod foreign;
pub(crate) mod grant;
mod ioctl;
pub(crate) mod store;

/// Number of a domain.
pub(crate) type DomId = u16;
