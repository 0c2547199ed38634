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

/// A new counter. Lockdep tells work items apart by where they are made, and one
/// kind must not run in soft interrupts and in threads both: hence a macro.
macro_rules! counter {
    () => {{
        let counter = pin_init!(Counter {
            runs: Atomic::new(0),
            work <- new_work!("pvusb_kunit::Counter"),
        });
        Arc::pin_init(counter, GFP_KERNEL).unwrap()
    }};
}

impl Counter {
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
        for (class, counter) in [
            (Class::Soft, counter!()),
            (Class::Data, counter!()),
            (Class::Ordered, counter!()),
            (Class::Concurrent, counter!()),
        ] {
            let queue = WorkQueue::new(c"pvusb_kunit", class).unwrap();
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
        let counter = counter!();
        for _ in 0..100 {
            let queue = WorkQueue::new(c"pvusb_kunit", Class::Ordered).unwrap();
            assert!(queue.enqueue(&counter));
            drop(queue);
        }
        assert_eq!(counter.runs(), 100);
    }
}
