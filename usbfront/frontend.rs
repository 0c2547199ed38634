// SPDX-License-Identifier: GPL-2.0

//! The frontend's half of a vusb on the xenbus.
//!
//! Connecting and disconnecting take long, and removing a host controller
//! waits for drivers. The thread that tells us of the backend's state serves
//! the whole kernel, so it only leaves a note: an ordered queue per device does
//! the work. Unbinding waits for that queue and does the rest itself.
//!
//! Only the first connection of a new device is made by that thread. It looks
//! at new devices too, and removes one for good whose state it has read as
//! Initialising when we have left that meanwhile; so we leave it there.

use crate::{
    broken::Broken,
    connection::{Connection, Ending},
    kept::{self, Kept},
};
use kernel::{
    device::Core,
    fmt::Write,
    impl_has_work, new_mutex, new_spinlock_irq, new_work,
    prelude::*,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc, Mutex, SpinLockIrq,
    },
    time::Delta,
    workqueue::{Work, WorkItem},
};
use usbfront_core::{Action, Backend, Lifecycle};
use usbif::Statistics;
use xen::{
    patience::{patiently, wait},
    queue::{Class, WorkQueue},
    ratelimit::RateLimit,
    xenbus::{self, Device, Side, State, Text, Then},
};

/// How long a new backend may take after this domain has been restored (the toolstack
/// makes it before it lets the domain run), or one that starts anew to let go of our pages.
const PATIENCE: Delta = Delta::from_secs(5);

/// A bound device.
#[pin_data]
pub(crate) struct Frontend {
    dev: kernel::sync::aref::ARef<Device>,
    queue: WorkQueue,
    #[pin]
    work: Work<Frontend>,
    /// How often it connects: each time a bus comes and goes, and the kernel says so.
    #[pin]
    connections: RateLimit,
    /// The backend's state, as its number.
    backend: Atomic<u32>,
    /// Why the connection was given up, until the work has seen it.
    #[pin]
    broken: SpinLockIrq<Option<Broken>>,
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    /// The backend's directory.
    path: CString,
    lifecycle: Lifecycle,
    connection: Option<Connection>,
    /// Pages of the last connection that its backend has kept.
    kept: Option<Kept>,
}

impl_has_work! {
    impl HasWork<Self> for Frontend { self.work }
}

/// The backend's state, as far as it matters here.
fn backend(state: State) -> Backend {
    match state {
        State::Unknown => Backend::Gone,
        State::Initialising | State::Reconfiguring | State::Reconfigured => Backend::Preparing,
        State::InitWait | State::Initialised => Backend::Waiting,
        State::Connected => Backend::Connected,
        State::Closing => Backend::Closing,
        State::Closed => Backend::Closed,
    }
}

impl Frontend {
    fn new(dev: &Device<Core<'_>>) -> Result<Arc<Self>> {
        let path = dev.otherend()?;
        let queue = WorkQueue::new(c"xen-hcd-xenbus", Class::OrderedFreezable)?;
        Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                queue,
                work <- new_work!("xen_hcd::Frontend::work"),
                connections <- RateLimit::new(),
                backend: Atomic::new(State::Unknown.as_raw()),
                broken <- new_spinlock_irq!(None, "xen_hcd::Frontend::broken"),
                inner <- new_mutex!(
                    Inner {
                        path,
                        lifecycle: Lifecycle::Waiting,
                        connection: None,
                        kept: None,
                    },
                    "xen_hcd::Frontend::inner"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        &self.dev
    }

    /// The controller has given up. From any context.
    pub(crate) fn broken(self: &Arc<Self>, reason: Broken) {
        *self.broken.lock() = Some(reason);
        self.queue.enqueue::<Self, 0>(self);
    }

    fn backend_changed(self: &Arc<Self>, state: State) {
        self.backend.store(state.as_raw(), Relaxed);
        if self.dev.state() == State::Initialising {
            self.work();
        } else {
            self.queue.enqueue::<Self, 0>(self);
        }
    }

    /// Does what the backend's state, or a lie of it, asks for.
    fn work(self: &Arc<Self>) {
        let mut inner = self.inner.lock();
        let broken = self.broken.lock().take();
        if let Some(reason) = broken {
            // Before anything is written, which would wait for xenstore.
            self.disconnect(&mut inner, Ending::AtOnce);
            self.give_up(
                &mut inner,
                EIO,
                kernel::prelude::fmt!("backend is broken: {reason}"),
            );
        }
        let state = State::from_raw(self.backend.load(Relaxed));
        match inner.lifecycle.backend(backend(state)) {
            Action::Stay => {}
            Action::Connect => self.connect(&mut inner),
            Action::Disconnect => {
                self.disconnect(&mut inner, Ending::AtOnce);
                self.dev.frontend_closed();
            }
            Action::Reconnect => self.connect(&mut inner),
        }
    }

    /// This domain has been restored: the rings lead nowhere, and the backend is
    /// another one. When this returns, the core resumes the root hub and its devices,
    /// so it waits until the new backend has said what is on the ports. Runs in the
    /// thread that would tell us of states; so they are asked for.
    fn restored(self: &Arc<Self>, dev: &Device<Core<'_>>) {
        let mut inner = self.inner.lock();
        self.backend.store(State::Unknown.as_raw(), Relaxed);
        inner.lifecycle = Lifecycle::Waiting;
        if let Some(connection) = &inner.connection {
            connection.cut();
        }
        *self.broken.lock() = None;
        let Ok(path) = dev.otherend() else {
            return self.not_restored("its backend is not known");
        };
        inner.path = path;
        let Some(connection) = &inner.connection else {
            return;
        };
        // Devices are not removed here, where the core goes through them: a connection
        // that stays cut is closed when a backend appears, or with the device.
        if !wait(PATIENCE, || dev.otherend_state() == Ok(State::InitWait)) {
            return self.not_restored("its backend is not there");
        }
        let reopened = patiently(|| {
            let reopened = connection.reopen(self, &inner.path);
            if reopened != Ok(true) {
                connection.cut();
            }
            reopened
        });
        match reopened {
            Ok(true) => {}
            Ok(false) => return self.not_restored("its nodes are gone"),
            Err(EINVAL) => return self.not_restored("its backend wants another controller"),
            Err(_) => return self.not_restored("it cannot connect again"),
        }
        inner.lifecycle = Lifecycle::Connected { confirmed: false };
        dev.switch_state(State::Connected);
        if !wait(PATIENCE, || dev.otherend_state() == Ok(State::Connected)) {
            // It may, later.
            inner.lifecycle = Lifecycle::Waiting;
            return self.not_restored("its backend does not connect");
        }
        // For a look that was asked for before, and takes place before the watch tells us.
        self.backend.store(State::Connected.as_raw(), Relaxed);
    }

    fn not_restored(&self, why: &str) {
        dev_warn!(
            self.dev.as_ref(),
            "the devices are gone since this domain was restored: {}\n",
            why
        );
        // Not a new device any more, whose connection this thread would make.
        self.dev.frontend_closed();
    }

    fn connect(self: &Arc<Self>, inner: &mut Inner) {
        // One that was cut may be left.
        if !self.disconnect(inner, Ending::AtOnce) {
            return;
        }
        if !self.connections.allows() {
            let why = "the backend starts anew too often";
            return self.give_up(inner, EBUSY, kernel::prelude::fmt!("{why}"));
        }
        // With new ones each time it connects, a backend would have all that this domain
        // can grant.
        if !inner
            .kept
            .as_mut()
            .is_none_or(|kept| wait(PATIENCE, || kept.end()))
        {
            let why = "the backend keeps pages of its last connection mapped";
            return self.give_up(inner, EBUSY, kernel::prelude::fmt!("{why}"));
        }
        inner.kept = None;
        if kept::is_full() {
            let why = "backends keep the rings of too many connections that have ended";
            return self.give_up(inner, EBUSY, kernel::prelude::fmt!("{why}"));
        }
        match patiently(|| Connection::open(self, &inner.path)) {
            Ok(Some(connection)) => {
                inner.connection = Some(connection);
                self.dev.switch_state(State::Connected);
            }
            Ok(None) => inner.lifecycle = Lifecycle::Waiting,
            Err(error) => self.give_up(inner, error, kernel::prelude::fmt!("cannot connect")),
        }
    }

    /// False: the backend was given up.
    fn disconnect(&self, inner: &mut Inner, ending: Ending) -> bool {
        let Some(mut connection) = inner.connection.take() else {
            return true;
        };
        inner.kept = connection.close(ending);
        // What it still complained about has nothing to do with the next one.
        *self.broken.lock() = None;
        let lends = inner.kept.as_ref().is_some_and(Kept::lends);
        if lends {
            let why = "the backend keeps pages of requests mapped that it has not answered";
            self.give_up(inner, EBUSY, kernel::prelude::fmt!("{why}"));
        }
        !lends
    }

    /// Halts, and says why, in the log and in xenstore.
    fn give_up(&self, inner: &mut Inner, error: Error, message: kernel::fmt::Arguments<'_>) {
        inner.lifecycle = Lifecycle::Halted;
        self.dev.report_error(error, message);
        self.dev.frontend_closed();
    }

    /// What the `statistics` file says.
    fn show(&self, text: &mut Text<'_>) -> kernel::fmt::Result {
        match &self.inner.lock().connection {
            Some(connection) => connection.show(&self.dev, text),
            None => text.write_str("not connected\n"),
        }
    }

    /// Ends all, for unbinding. `works`: the backend does, as far as it says.
    fn remove(self: &Arc<Self>, works: bool) {
        // Not waited for: the queue stands still while the system sleeps, and all ends here.
        self.queue.cancel::<Self, 0>(self);
        let ending = if works {
            Ending::Orderly
        } else {
            Ending::AtOnce
        };
        let mut inner = self.inner.lock();
        self.disconnect(&mut inner, ending);
        if let Some(kept) = inner.kept.take() {
            kept.put_away();
        }
    }
}

impl WorkItem for Frontend {
    type Pointer = Arc<Frontend>;

    fn run(this: Arc<Frontend>) {
        this.work();
    }
}

/// The driver of `device/vusb/*`.
pub(crate) struct Driver;

impl xenbus::Driver for Driver {
    type Data = Arc<Frontend>;

    const SIDE: Side = Side::Frontend;
    const ID: &'static CStr = c"vusb";
    const FILE: Option<&'static CStr> = Some(c"statistics");

    const COUNTERS: &'static [&'static CStr] = Statistics::NAMES;

    fn show(
        _: &Device<Core<'_>>,
        data: Pin<&Self::Data>,
        text: &mut Text<'_>,
    ) -> kernel::fmt::Result {
        data.show(text)
    }

    fn counter(_: &Device<Core<'_>>, data: Pin<&Self::Data>, index: usize) -> Option<u64> {
        let inner = data.inner.lock();
        let counted = inner.connection.as_ref().map(Connection::statistics);
        counted.unwrap_or_default().values().get(index).copied()
    }

    fn probe<'a>(dev: &'a Device<Core<'_>>) -> impl PinInit<Self::Data, Error> + 'a {
        // A frontend that was bound before has left our state Closed. It stays
        // so until we connect: to Initialising only the toolstack may set it,
        // and the core takes that for a new device.
        Frontend::new(dev)
    }

    fn otherend_changed(_: &Device<Core<'_>>, data: Pin<&Self::Data>, state: State) -> Then {
        data.backend_changed(state);
        Then::Stay
    }

    fn remove(dev: &Device<Core<'_>>, data: Pin<&Self::Data>) {
        data.remove(dev.otherend_state() == Ok(State::Connected));
    }

    fn resume(dev: &Device<Core<'_>>, data: Pin<&Self::Data>) -> Result {
        data.restored(dev);
        Ok(())
    }
}
