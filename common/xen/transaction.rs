// SPDX-License-Identifier: GPL-2.0

//! Several xenstore operations as one.
//!
//! A transaction that collides with another writer fails with `EAGAIN` at its
//! end and is run again, a bounded number of times: the other domain can write
//! to its own nodes as often as it likes. The body runs anew each time, so it
//! must not have effects of its own.

use crate::{patience::patiently, xenstore::Store};
use kernel::{error::to_result, prelude::*};
use xen_sys::bindings;

/// Times that a colliding transaction is run before giving up.
const TRIES: u32 = 64;

/// How the body of a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// Make the writes take effect, all or none.
    Commit(T),
    /// Forget the writes.
    Abort(T),
}

/// Runs `body` in a transaction and returns its value.
///
/// # Errors
///
/// The body's own, after which nothing has been written; `EAGAIN` when it
/// collided [`TRIES`] times; else what the daemon says.
pub fn transaction<T>(mut body: impl FnMut(&Store<'_>) -> Result<Outcome<T>>) -> Result<T> {
    for _ in 0..TRIES {
        let open = Open::start()?;
        match body(&Store::inside(open.id))? {
            Outcome::Abort(value) => return Ok(value),
            Outcome::Commit(value) => match open.commit() {
                Ok(()) => return Ok(value),
                Err(EAGAIN) => {}
                Err(error) => return Err(error),
            },
        }
    }
    Err(EAGAIN)
}

/// A transaction that has been started; aborted when dropped.
struct Open {
    id: u32,
}

impl Open {
    fn start() -> Result<Self> {
        let mut id = bindings::xenbus_transaction { id: 0 };
        // SAFETY: `id` can be written.
        patiently(|| to_result(unsafe { bindings::xenbus_transaction_start(&raw mut id) }))?;
        Ok(Self { id: id.id })
    }

    fn commit(self) -> Result {
        let id = self.id;
        core::mem::forget(self);
        end(id, false)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // A failed abort leaves nothing to do: the daemon has forgotten it.
        let _ = end(self.id, true);
    }
}

/// Ends a transaction, once for each that was started. One whose end was not sent, for want
/// of memory, would keep this domain from being suspended for ever (`xs_suspend_enter()`).
fn end(id: u32, abort: bool) -> Result {
    patiently(|| {
        let transaction = bindings::xenbus_transaction { id };
        // SAFETY: Only the number of the transaction is used. After ENOMEM nothing was sent, or
        // the daemon had no memory itself and has kept the transaction.
        to_result(unsafe { bindings::xenbus_transaction_end(transaction, abort) })
    })
}
