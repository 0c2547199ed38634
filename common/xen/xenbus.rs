// SPDX-License-Identifier: GPL-2.0

//! Devices that have one half in each of two domains, and their drivers.
//!
//! Which file says what: `device.rs` a device, `driver.rs` a driver and its
//! registration, `state.rs` the states.

pub use crate::device::Device;
pub use crate::device_file::{Text, MOST_COUNTERS};
pub use crate::driver::{Adapter, Driver, Registration, Side, Then};
pub use crate::state::State;
pub use crate::{dev_error, dev_fatal};
