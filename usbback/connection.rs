// SPDX-License-Identifier: GPL-2.0

//! A frontend's rings, from connect to disconnect.
//!
//! All memory is allocated here, at connect: sixteen URBs with their buffers,
//! as many as the ring has entries. What comes back from the USB core, in
//! interrupt context, is put aside in `returned` until the data worker has time.
//! While it lives a connection, its URBs and its event channel refer to each
//! other; `close` takes them apart.

use crate::announce::Announcer;
use crate::attachment::Attachment;
use crate::engine::Engine;
use crate::vusb::Vusb;
use kernel::prelude::*;
use kernel::sync::{new_mutex, new_spinlock_irq, Arc, Mutex, SpinLockIrq};
use kernel::workqueue::{impl_has_work, new_work, Work, WorkItem};
use ring::{BackRing, Corrupt};
use usb::endpoint::Direction;
use usb::urb::{Completion, Target, Ticket, Urb, UrbHandle};
use usbback_core::{Back, Dialect, Ended, Index, Returned, SLOTS};
use usbif::Status;
use xen::evtchn::{EventChannel, Handler};
use xen::ring_page::MappedRing;

/// Most packets of an isochronous request.
pub(crate) const PACKETS: u16 = 256;

/// One frontend's connection.
#[pin_data]
pub(crate) struct Connection {
    pub(crate) vusb: Arc<Vusb>,
    /// None: closed, or stopped after an error.
    #[pin]
    engine: Mutex<Option<KBox<Engine>>>,
    #[pin]
    returned: SpinLockIrq<Returned<Urb<Connection>, Arc<Attachment>>>,
    /// To take URBs back by.
    #[pin]
    handles: Mutex<KVec<UrbHandle<Connection>>>,
    #[pin]
    work: Work<Connection>,
}

impl_has_work! {
    impl HasWork<Self> for Connection { self.work }
}

impl WorkItem for Connection {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let turn = match &mut *this.engine.lock() {
            None => return,
            Some(engine) => engine.turn(&this),
        };
        match turn {
            Ok(false) => {}
            Ok(true) => this.look(),
            Err(Corrupt) => this.stop("the frontend's ring is corrupt"),
        }
    }
}

/// Hears the frontend's events.
pub(crate) struct Doorbell(Arc<Connection>);

impl Handler for Doorbell {
    fn event(&self) {
        self.0.look();
    }
}

impl Completion for Connection {
    fn complete(&self, urb: Urb<Self>) {
        let this = urb.context().clone();
        // There is none: there are as many places as URBs.
        let lost = self.returned.lock().urb(urb);
        drop(lost);
        this.look();
    }
}

impl Connection {
    /// Maps the rings and binds the event channel.
    #[inline(never)] // For the sake of the stack.
    pub(crate) fn new(vusb: Arc<Vusb>, dialect: &Dialect) -> Result<Arc<Self>> {
        let (urb_ring, conn_ring, event_channel) = match *dialect {
            Dialect::Usbif {
                urb_ring,
                conn_ring,
                event_channel,
            } => (urb_ring, Some(conn_ring), event_channel),
            Dialect::Old {
                ring,
                event_channel,
            } => (ring, None, event_channel),
        };
        let map = |gref| MappedRing::map(&*vusb.dev, gref);
        let urb_ring = BackRing::attach(map(urb_ring)?).map_err(|Corrupt| EPROTO)?;
        let conn_ring = match conn_ring {
            None => None,
            Some(gref) => Some(BackRing::attach(map(gref)?).map_err(|Corrupt| EPROTO)?),
        };
        let this = Self::idle(vusb)?;
        let mut urbs = KVec::with_capacity(SLOTS, GFP_KERNEL)?;
        let mut handles = KVec::with_capacity(SLOTS, GFP_KERNEL)?;
        for tag in 0..SLOTS {
            let urb = Urb::new(this.clone(), tag, PACKETS)?;
            handles.push(urb.handle(), GFP_KERNEL)?;
            urbs.push(Some(urb), GFP_KERNEL)?;
        }
        let doorbell = Arc::new(Doorbell(this.clone()), GFP_KERNEL)?;
        let channel = EventChannel::bind(&*this.vusb.dev, event_channel, c"vusb", doorbell)?;
        let announcer = Announcer::new(conn_ring);
        let engine = Engine::new(urb_ring, announcer, channel, urbs, this.vusb.domid)?;
        *this.handles.lock() = handles;
        *this.engine.lock() = Some(engine);
        Ok(this)
    }

    /// Without rings.
    #[inline(never)] // For the sake of the stack.
    fn idle(vusb: Arc<Vusb>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                vusb,
                engine <- new_mutex!(None),
                returned <- new_spinlock_irq!(Returned::nothing()),
                handles <- new_mutex!(KVec::new()),
                work <- new_work!("usbback::connection"),
            }),
            GFP_KERNEL,
        )
    }

    /// Has the rings, and what has come back, looked at. From any context.
    pub(crate) fn look(self: &Arc<Self>) {
        self.vusb.queue.enqueue(self);
    }

    /// An operation of the USB core has ended.
    pub(crate) fn finished(
        self: &Arc<Self>,
        attachment: &Arc<Attachment>,
        slot: Option<Index>,
        status: Status,
    ) {
        let ended = Ended {
            device: attachment.clone(),
            serial: attachment.serial,
            slot,
            status,
        };
        let old = self.returned.lock().operation(attachment.port, ended);
        drop(old);
        self.look();
    }

    /// Takes one thing that has come back.
    pub(crate) fn back(&self) -> Option<Back<Urb<Connection>, Arc<Attachment>>> {
        self.returned.lock().pop()
    }

    /// Asks for one request to be given back early.
    pub(crate) fn unlink(&self, slot: Index, ticket: Ticket) {
        // A copy: giving back may take long, and others want to kill.
        let handle = self.handles.lock().get(slot.get()).cloned();
        if let Some(handle) = handle {
            handle.unlink(ticket);
        }
    }

    /// Takes back what is on its way to a device, or to one endpoint of it.
    pub(crate) fn kill_for(&self, target: &Arc<Target>, endpoint: Option<(u8, Direction)>) {
        for slot in 0..SLOTS {
            // As above: the data worker wants to unlink. None: closed, which has killed all.
            let Some(handle) = self.handles.lock().get(slot).cloned() else {
                return;
            };
            handle.kill_for(target, endpoint);
        }
    }

    /// The frontend cannot be talked to any more: nothing of it is read or
    /// written again.
    fn stop(&self, why: &str) {
        self.close();
        self.vusb.broken(EPROTO, why);
    }

    /// Lets go of everything. Waits for host controllers. Again: does nothing.
    pub(crate) fn close(&self) {
        let engine = self.engine.lock().take();
        // Nobody submits any more, so what is taken back stays back. Under the lock,
        // so that who takes back something at the same time waits until it is.
        let mut handles = self.handles.lock();
        for handle in handles.iter() {
            handle.kill();
        }
        handles.clear();
        drop(handles);
        while let Some(back) = self.back() {
            drop(back);
        }
        // The channel first: see the order of its fields.
        drop(engine);
    }
}
