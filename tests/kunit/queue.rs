// SPDX-License-Identifier: GPL-2.0

//! A workqueue of one's own: everything runs once, and nothing after its end.

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};
use xen::queue::{Class, WorkQueue};

/// Counts its runs.
#[pin_data]
pub(crate) struct Counter {
    runs: Atomic<u32>,
    #[pin]
    work: Work<Counter>,
}

impl_has_work! {
    impl HasWork<Self> for Counter { self.work }
}

impl WorkItem for Counter {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.runs.fetch_add(1, Relaxed);
    }
}

impl Counter {
    fn new() -> Arc<Self> {
        let counter = pin_init!(Self {
            runs: Atomic::new(0),
            work <- new_work!("pvusb_kunit::Counter"),
        });
        Arc::pin_init(counter, GFP_KERNEL).unwrap()
    }

    fn runs(&self) -> u32 {
        self.runs.load(Relaxed)
    }
}

#[::kernel::macros::kunit_tests(pvusb_queue)]
mod pvusb_queue {
    use super::*;

    /// What was enqueued has run when close returns; what comes later is refused.
    #[test]
    fn close_waits_and_refuses() {
        for class in [Class::Soft, Class::Data, Class::Ordered, Class::Concurrent] {
            let queue = WorkQueue::new(c"pvusb_kunit", class).unwrap();
            let counter = Counter::new();
            for runs in 1..=100 {
                assert!(queue.enqueue(&counter));
                queue.flush();
                assert_eq!(counter.runs(), runs);
            }
            assert!(queue.enqueue(&counter));
            queue.close();
            assert_eq!(counter.runs(), 101);
            assert!(!queue.enqueue(&counter));
            queue.close();
            assert_eq!(counter.runs(), 101);
        }
    }

    /// A queue that is dropped runs what it has, and the item outlives it.
    #[test]
    fn drop_runs_what_is_left() {
        let counter = Counter::new();
        for _ in 0..100 {
            let queue = WorkQueue::new(c"pvusb_kunit", Class::Ordered).unwrap();
            assert!(queue.enqueue(&counter));
            drop(queue);
        }
        assert_eq!(counter.runs(), 100);
    }
}
