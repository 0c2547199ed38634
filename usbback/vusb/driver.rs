// SPDX-License-Identifier: GPL-2.0

//! The xenbus driver of vusbs. Its callbacks run in xenwatch, which the whole
//! kernel shares, so they wait for nothing but XenStore and, to take back URBs,
//! host controllers. `remove` waits for a frontend that is connected, too: it then
//! runs in the process that unbinds, for in xenwatch all is disconnected before, or
//! the backend's directory is gone.

use super::{other_of, Vusb};
use crate::backend::BACKEND;
use kernel::prelude::*;
use kernel::sync::{new_mutex, Arc, Mutex};
use kernel::workqueue::{impl_has_work, new_work, Work, WorkItem};
use usbback_core::{next_move, Move, Target};
use usbif::Statistics;
use xen::dev_fatal;
use xen::watch::{Handler, Watch};
use xen::xenbus::{self, Device, Side, State, Then};
use xen::xenstore::path;

/// The xenbus driver.
pub(crate) struct VusbDriver;

/// What the driver core keeps for a device.
pub(crate) struct Bound {
    vusb: Arc<Vusb>,
    watches: Arc<Watches>,
}

type OneWatch = Option<Pin<KBox<Watch<Nodes>>>>;

/// On our nodes. They end in a work: to end one waits for xenwatch, which may wait for the
/// lock of the device, and whoever unbinds the device has that.
#[pin_data]
struct Watches {
    #[pin]
    watches: Mutex<[OneWatch; 3]>,
    #[pin]
    work: Work<Watches>,
}

impl_has_work! {
    impl HasWork<Self> for Watches { self.work }
}

impl WorkItem for Watches {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let watches = core::mem::take(&mut *this.watches.lock());
        drop(watches);
    }
}

impl Watches {
    fn none() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                watches <- new_mutex!([None, None, None]),
                work <- new_work!("usbback::vusb::driver"),
            }),
            GFP_KERNEL,
        )
    }

    fn start(&self, dev: &Device<kernel::device::Core<'_>>, vusb: &Arc<Vusb>) -> Result {
        let nodes = Arc::new(Nodes(vusb.clone()), GFP_KERNEL)?;
        let names = ["port", "online", "state"];
        for (watch, name) in self.watches.lock().iter_mut().zip(names) {
            let path = path(fmt!("{}/{}", dev.nodename(), name))?;
            *watch = Some(KBox::pin_init(Watch::new(path, nodes.clone()), GFP_KERNEL)?);
        }
        Ok(())
    }
}

/// Hears of changes in our nodes that others write.
struct Nodes(Arc<Vusb>);

impl Handler for Nodes {
    fn changed(&self) {
        self.0.control_soon();
    }
}

impl Bound {
    fn new(dev: &Device<kernel::device::Core<'_>>) -> Result<Self> {
        let backend = BACKEND.get().ok_or(ENODEV)?;
        let bound = Self {
            vusb: Vusb::new(dev, backend.clone())?,
            watches: Watches::none()?,
        };
        backend.add_vusb(&bound.vusb)?;
        bound.serve(dev).inspect_err(|_| bound.end())?;
        Ok(bound)
    }

    fn serve(&self, dev: &Device<kernel::device::Core<'_>>) -> Result {
        let vusb = &self.vusb;
        vusb.backend.domain_seen(vusb.domid);
        vusb.control_now();
        self.watches.start(dev, vusb)?;
        let ours = |target: &Target| target.domid == vusb.domid && target.vusb == vusb.id;
        for place in vusb.backend.places(|rule, _| ours(&rule.target)) {
            place.look();
        }
        dev.switch_state(State::InitWait);
        Ok(())
    }

    fn end(&self) {
        self.vusb.gone();
        // The module stays until the queue has done what it has.
        self.vusb.backend.queue.enqueue(&self.watches);
    }
}

impl xenbus::Driver for VusbDriver {
    type Data = Bound;

    const SIDE: Side = Side::Backend;
    const ID: &'static CStr = c"vusb";

    const COUNTERS: &'static [&'static CStr] = Statistics::NAMES;

    fn counter(
        _dev: &Device<kernel::device::Core<'_>>,
        data: Pin<&Self::Data>,
        index: usize,
    ) -> Option<u64> {
        let statistics = *data.vusb.statistics.lock();
        statistics.values().get(index).copied()
    }

    fn probe<'a>(
        dev: &'a Device<kernel::device::Core<'_>>,
    ) -> impl PinInit<Self::Data, Error> + 'a {
        // What the core needs for the data is allocated before anything is done.
        pin_init::pin_init_scope(move || {
            Ok(Bound::new(dev).inspect_err(|error| {
                dev_fatal!(dev, *error, "it cannot be served");
            }))
        })
    }

    fn otherend_changed(
        dev: &Device<kernel::device::Core<'_>>,
        data: Pin<&Self::Data>,
        state: State,
    ) -> Then {
        let vusb = &data.vusb;
        match next_move(other_of(state), vusb.own(), vusb.online()) {
            Move::Stay => {}
            Move::Connect if !vusb.admits() => dev.switch_state(State::Closing),
            Move::Connect => match vusb.connect() {
                Ok(()) => dev.switch_state(State::Connected),
                Err(error) => vusb.broken(error, "the frontend's rings cannot be used"),
            },
            Move::Close => dev.switch_state(State::Closing),
            Move::Restart => {
                vusb.disconnect();
                dev.switch_state(State::Closed);
                dev.switch_state(State::InitWait);
            }
            Move::End => {
                vusb.disconnect();
                dev.switch_state(State::Closed);
                return Then::Unregister;
            }
            Move::Vanish => {
                vusb.disconnect();
                return Then::Unregister;
            }
        }
        Then::Stay
    }

    fn remove(_dev: &Device<kernel::device::Core<'_>>, data: Pin<&Self::Data>) {
        data.vusb.part();
        data.end();
    }
}
