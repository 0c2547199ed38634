// SPDX-License-Identifier: GPL-2.0

//! A backend that does not answer a transfer for which the guest's driver waits without
//! a limit, and with the device locked. Whoever takes the frontend away must not wait too.

use super::Arena;
use crate::frontend::state::CLOSED;
use crate::Result;
use std::time::Duration;

/// A frontend that is being taken away waits a minute for all answers together.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 180 });

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let mut session = arena.connect()?;
        session.isochronous()?;
        arena.vusb.wait_frontend_for(&[CLOSED], PATIENCE)?;
    }
    Ok(())
}
