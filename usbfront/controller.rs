// SPDX-License-Identifier: GPL-2.0

//! The host controller: what the USB core calls, and the soft interrupt that serves
//! the rings.

use crate::{
    broken::Broken,
    frontend::Frontend,
    state::{self, Link, State},
    transfer,
};
use kernel::{
    impl_has_work,
    prelude::*,
    sync::{Arc, SpinLockIrq},
    time::{Instant, Monotonic},
    workqueue::{Work, WorkItem},
};
use usb::{
    hcd::{HostController, HubAnswer, Locked},
    hcd_urb::{Key, Urb},
};
use usbfront_core::{EndpointId, JobId, Millis};
use usbif::Statistics;
use xen::{evtchn, queue::WorkQueue, ratelimit::RateLimit, timer};

/// Looks at the rings before others run.
const TURNS: u32 = 32;

/// A virtual host controller.
#[pin_data]
pub(crate) struct Controller {
    #[pin]
    state: SpinLockIrq<State>,
    #[pin]
    work: Work<Controller>,
    #[pin]
    release: Work<Controller, 1>,
    #[pin]
    limit: RateLimit,
    /// The backend suspends devices, and says when one wakes up.
    wakes: bool,
    queue: Arc<WorkQueue>,
    release_queue: Arc<WorkQueue>,
    frontend: Arc<Frontend>,
    start: Instant<Monotonic>,
}

impl_has_work! {
    impl HasWork<Self> for Controller { self.work }
    impl HasWork<Self, 1> for Controller { self.release }
}

impl Controller {
    pub(crate) fn new(
        state: State,
        wakes: bool,
        queue: Arc<WorkQueue>,
        release_queue: Arc<WorkQueue>,
        frontend: Arc<Frontend>,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- kernel::new_spinlock_irq!(state, "xen_hcd::State"),
                work <- kernel::new_work!("xen_hcd::Controller::work"),
                release <- kernel::new_work!("xen_hcd::Controller::release"),
                limit <- RateLimit::new(),
                wakes,
                queue,
                release_queue,
                frontend,
                start: Instant::now(),
            }),
            GFP_KERNEL,
        )
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(0)
    }

    /// Puts the connection in place, and looks what has come already.
    pub(crate) fn open(self: &Arc<Self>, link: Link) {
        Locked::new(&**self).open(link);
        self.serve();
    }

    /// What has been counted since the connection was made.
    pub(crate) fn statistics(&self) -> Statistics {
        Locked::new(self).statistics
    }

    /// Has the rings looked at.
    pub(crate) fn serve(self: &Arc<Self>) {
        self.queue.enqueue::<Self, 0>(self);
    }

    /// It is about to be removed, with a backend that works.
    pub(crate) fn leave(&self) {
        Locked::new(self).leave();
    }

    /// Gives back all URBs and accepts no more.
    pub(crate) fn shut_down(&self) {
        state::shut_down(&mut Locked::new(self));
    }

    /// Takes the connection out of the controller, to be dropped where that
    /// may wait. Nothing is on the ports any more.
    pub(crate) fn close(&self) -> Option<Link> {
        let mut locked = Locked::new(self);
        state::shut_down(&mut locked);
        locked.hub.disconnect_all();
        locked.link.take()
    }

    /// The backend is not to be believed: ends everything, and has the frontend
    /// say so, once.
    fn halt(&self, locked: &mut Locked<'_, Self>, reason: Broken) {
        if state::shut_down(locked) {
            self.frontend.broken(reason);
        }
    }

    /// Looks at the rings until they are empty, or for long enough.
    fn look(&self) -> Looked {
        let mut looked = Looked::default();
        for _ in 0..TURNS {
            let mut locked = Locked::new(self);
            let turn = match state::turn(&mut locked, self.now()) {
                Ok(turn) => turn,
                Err(reason) => {
                    self.halt(&mut locked, reason);
                    break;
                }
            };
            looked.progress |= turn.progress;
            looked.ports |= turn.ports;
            looked.more = turn.more;
            drop(locked);
            if let Some(port) = turn.too_fast {
                if self.limit.allows() {
                    dev_warn!(
                        self.frontend.device().as_ref(),
                        "port {}: high speed on a USB 1.1 controller, ignored\n",
                        port.get()
                    );
                }
            }
            if !turn.more {
                break;
            }
        }
        looked
    }
}

/// What a look at the rings has found.
#[derive(Default)]
struct Looked {
    progress: bool,
    more: bool,
    ports: bool,
}

impl WorkItem for Controller {
    type Pointer = Arc<Controller>;

    fn run(this: Arc<Controller>) {
        let looked = this.look();
        let (news, suspended) = {
            let mut locked = Locked::new(&*this);
            if !looked.progress && !looked.more {
                locked.statistics.spurious();
            }
            let Some(link) = &locked.link else {
                return;
            };
            if !looked.more {
                link.channel.eoi(!looked.progress);
            }
            let news = looked.ports.then(|| link.handle.clone());
            (news, locked.hub_suspended)
        };
        if looked.more {
            this.serve();
        }
        // Without the lock: the core asks for the status at once.
        match news {
            Some(handle) if suspended => handle.wake_root_hub(),
            Some(handle) => handle.poll_root_hub(),
            None => {}
        }
    }
}

/// Lets queues go on that stand still after an error, when the completions have
/// run. On a queue of its own, for it waits.
impl WorkItem<1> for Controller {
    type Pointer = Arc<Controller>;

    fn run(this: Arc<Controller>) {
        let handle = {
            let mut locked = Locked::new(&*this);
            if !locked.is_releasable() {
                return;
            }
            locked.scheduler.begin_release();
            locked.link.as_ref().map(|link| link.handle.clone())
        };
        if let Some(handle) = handle {
            handle.wait_for_completions();
        }
        let mut locked = Locked::new(&*this);
        locked.scheduler.release();
        if let Err(reason) = state::pump(&mut locked) {
            this.halt(&mut locked, reason);
        }
    }
}

/// Told of events by the backend.
pub(crate) struct Events(pub(crate) Arc<Controller>);

impl evtchn::Handler for Events {
    fn event(&self) {
        self.0.serve();
    }
}

/// Looks after a backend that has not answered an unlink.
pub(crate) struct Watchdog(pub(crate) Arc<Controller>);

impl timer::Handler for Watchdog {
    fn expired(&self) {
        let mut locked = Locked::new(&*self.0);
        if let Err(reason) = state::look(&mut locked) {
            self.0.halt(&mut locked, reason);
        }
    }
}

impl HostController for Controller {
    type State = State;

    const NAME: &'static CStr = c"xen-hcd";
    const PRODUCT_USB20: &'static CStr = c"Xen USB 2.0 virtual host controller";
    const PRODUCT_USB11: &'static CStr = c"Xen USB 1.1 virtual host controller";

    fn state(&self) -> &SpinLockIrq<State> {
        &self.state
    }

    fn wakes(&self) -> bool {
        self.wakes
    }

    fn enqueue(
        &self,
        locked: &mut Locked<'_, Self>,
        mut urb: Urb,
    ) -> core::result::Result<(), (Error, Urb)> {
        if locked.is_down() {
            return Err((ESHUTDOWN, urb));
        }
        let transfer = match transfer::describe(&urb, locked.indirect) {
            Ok(transfer) => transfer,
            Err(error) => return Err((error, urb)),
        };
        urb.use_own_interval();
        let endpoint = match urb.endpoint_key() {
            Some(key) => EndpointId(key.0),
            None => match locked.scheduler.add_endpoint() {
                Ok(endpoint) => {
                    urb.set_endpoint_key(Key(endpoint.0));
                    endpoint
                }
                Err(_) => return Err((ENOMEM, urb)),
            },
        };
        let job = match locked.scheduler.submit(endpoint, transfer, urb) {
            Ok(job) => job,
            Err(urb) => return Err((ENOMEM, urb)),
        };
        if let Some(urb) = locked.scheduler.payload(job) {
            urb.set_key(Key(job.0));
        }
        locked.statistics.took();
        if let Err(reason) = state::pump(locked) {
            self.halt(locked, reason);
        }
        if locked.scheduler.is_full() {
            locked.statistics.waited();
        }
        Ok(())
    }

    fn dequeue(&self, locked: &mut Locked<'_, Self>, key: Key) {
        let finished = locked.scheduler.cancel(JobId(key.0));
        state::give_back(locked, finished);
        if let Err(reason) = state::pump(locked) {
            self.halt(locked, reason);
        }
    }

    fn gave_back(&self, count: u32) {
        let mut locked = Locked::new(self);
        locked.gave_back(count);
        if locked.is_releasable() {
            if let Some(link) = &locked.link {
                self.release_queue
                    .enqueue::<Self, 1>(link.handle.controller());
            }
        }
    }

    fn endpoint_disabled(&self, locked: &mut Locked<'_, Self>, key: Key) {
        locked.scheduler.remove_endpoint(EndpointId(key.0));
    }

    fn hub_control(
        &self,
        locked: &mut Locked<'_, Self>,
        request: u16,
        value: u16,
        index: u16,
        answer: &mut [u8],
    ) -> HubAnswer {
        let answered = locked
            .hub
            .control(request, value, index, self.now(), answer);
        // A port that was suspended.
        if let Err(reason) = state::pump(locked) {
            self.halt(locked, reason);
        }
        match answered {
            Ok(bytes) => HubAnswer::Bytes(bytes),
            Err(_) => HubAnswer::Stall,
        }
    }

    fn hub_status(&self, locked: &mut Locked<'_, Self>, answer: &mut [u8]) -> usize {
        locked.hub.status_data(self.now(), answer)
    }

    fn frame_number(&self) -> u32 {
        // A frame is a millisecond; the low bits are all that is used.
        self.now() as u32
    }

    fn bus_suspend(&self, locked: &mut Locked<'_, Self>) -> Result {
        locked.hub_suspended = true;
        Ok(())
    }

    fn bus_resume(&self, locked: &mut Locked<'_, Self>) -> Result {
        locked.hub_suspended = false;
        if !self.frontend.device().has_otherend() {
            // This domain has been restored, and nobody has made the nodes again.
            state::shut_down(locked);
            locked.hub.disconnect_all();
        }
        Ok(())
    }

    fn stop(&self, locked: &mut Locked<'_, Self>) {
        state::shut_down(locked);
    }
}
