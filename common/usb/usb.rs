// SPDX-License-Identifier: GPL-2.0

//! Safe USB for both modules: what the backend needs of the host's USB core, and
//! what the frontend needs to be a host controller. With `xen` and `xen_sys` the only crate
//! that holds `unsafe`.

mod chain;
pub mod device;
pub mod driver;
pub mod driver_files;
pub mod endpoint;
pub mod hcd;
pub mod hcd_buffer;
mod hcd_locked;
mod hcd_table;
pub mod hcd_urb;
mod hcd_urb_iso;
pub mod hub_notify;
pub mod interface;
pub mod lock;
pub mod notify;
mod peer;
pub mod port;
mod port_name;
pub mod power;
pub mod urb;
pub mod urb_buffer;
mod urb_handle;
mod urb_iso;
mod urb_raw;
mod urb_target;
mod urb_transfer;

/// Prefix of this crate's own log lines.
const __LOG_PREFIX: &[u8] = b"pvusb\0";
