// SPDX-License-Identifier: GPL-2.0

//! A backend that says nothing more and stays. The guest's drivers take their
//! requests back; when that has no answer either, the frontend must give up.

use super::Arena;
use crate::frontend::state::CLOSED;
use crate::Result;
use std::time::Duration;

/// A driver unlinks after seconds, the frontend waits a minute for the answer.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 180 });

pub(crate) fn run(arena: &mut Arena<'_>) -> Result<()> {
    for _ in 0..arena.count {
        let mut session = arena.somewhere()?;
        session.request()?;
        arena.vusb.wait_frontend_for(&[CLOSED], PATIENCE)?;
    }
    Ok(())
}
