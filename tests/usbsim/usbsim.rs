// SPDX-License-Identifier: GPL-2.0

//! Simulated USB devices, served over USB/IP to dom0's own `vhci_hcd`.
//!
//! dummy_hcd has no isochronous transfers, and no gadget misbehaves on purpose.
//! A device here is a [`device::Device`]: descriptors, answers to control
//! requests, and data for its endpoints. A [`session::Session`] keeps the
//! queues of its endpoints, paces isochronous packets by a [`clock::Clock`],
//! and speaks [`protocol`] with the kernel, to which [`attach`] hands one end
//! of a socket pair.

pub mod attach;
pub mod chapter9;
pub mod clock;
pub mod counters;
pub mod descriptor;
pub mod device;
pub mod devices;
pub mod frame;
pub mod protocol;
pub mod remote;
pub mod session;
