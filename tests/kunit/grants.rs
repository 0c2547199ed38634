// SPDX-License-Identifier: GPL-2.0

//! Grants from this domain to itself, and copies through them.

use xen::{
    grant::{Access, Grant, GrantPool},
    grant_copy::{CopyRoom, Foreign},
    pages::{copy_in, copy_out, GrantPage},
    xenstore::Store,
};

/// The domain that runs this, as it finds itself in its part of the xenstore.
fn me() -> xen::DomId {
    let number = Store::DIRECT.read_number(c"domid", c"");
    number.unwrap() as xen::DomId
}

fn at(grant: &Grant, offset: u16) -> Foreign {
    Foreign {
        gref: grant.reference(),
        offset,
    }
}

#[::kernel::macros::kunit_tests(pvusb_grants)]
mod pvusb_grants {
    use super::*;

    /// Bytes go through a grant both ways, to where they were sent and nowhere else.
    #[test]
    fn a_round_trip() {
        let (theirs, ours) = (GrantPage::zeroed().unwrap(), GrantPage::zeroed().unwrap());
        let grant = Grant::new(me(), theirs.hold().unwrap(), Access::ReadWrite).unwrap();
        let mut room = CopyRoom::<4>::new().unwrap();

        copy_in(&theirs, 100, b"over there").unwrap();
        let mut batch = room.batch(me());
        assert!(batch.read(at(&grant, 100), &*ours, 4086, 10).is_ok());
        assert!(batch.run().is_ok());
        let mut out = [0; 10];
        copy_out(&ours, 4086, &mut out).unwrap();
        assert_eq!(&out, b"over there");
        copy_out(&ours, 4076, &mut out).unwrap();
        assert_eq!(out, [0; 10]);

        copy_in(&ours, 0, b"back again").unwrap();
        assert!(batch.write(&*ours, 0, at(&grant, 4086), 10).is_ok());
        assert!(batch.run().is_ok());
        copy_out(&theirs, 4086, &mut out).unwrap();
        assert_eq!(&out, b"back again");
    }

    /// What is granted for reading is not written; the copy beside it is made.
    #[test]
    fn read_only_is_read_only() {
        let (theirs, ours) = (GrantPage::zeroed().unwrap(), GrantPage::zeroed().unwrap());
        let grant = Grant::new(me(), theirs.hold().unwrap(), Access::ReadOnly).unwrap();
        let mut room = CopyRoom::<4>::new().unwrap();
        copy_in(&ours, 0, &[9; 8]).unwrap();
        let mut batch = room.batch(me());
        assert!(batch.read(at(&grant, 0), &*ours, 100, 4).is_ok());
        assert!(batch.write(&*ours, 0, at(&grant, 0), 4).is_ok());
        assert_eq!(batch.run().map_err(|failed| failed.index), Err(1));
        let mut out = [1; 4];
        copy_out(&theirs, 0, &mut out).unwrap();
        assert_eq!(out, [0; 4]);
    }

    /// A number that was never granted, and one that has been taken back.
    #[test]
    fn no_grant_no_copy() {
        let ours = GrantPage::zeroed().unwrap();
        let mut room = CopyRoom::<4>::new().unwrap();
        let mut pool = GrantPool::new(1).unwrap();
        let grant = pool
            .grant(
                me(),
                GrantPage::zeroed().unwrap().hold().unwrap(),
                Access::ReadWrite,
            )
            .ok()
            .unwrap();
        let ended = at(&grant, 0);
        assert!(pool.end(grant).is_ok());
        for from in [
            Foreign {
                gref: u32::MAX,
                offset: 0,
            },
            ended,
        ] {
            let mut batch = room.batch(me());
            assert!(batch.read(from, &*ours, 0, 4).is_ok());
            assert!(batch.run().is_err());
        }
    }

    /// No copy crosses the end of a page on either side, or is empty, or one too many.
    #[test]
    fn copies_stay_in_their_pages() {
        let ours = GrantPage::zeroed().unwrap();
        let mut room = CopyRoom::<1>::new().unwrap();
        let mut batch = room.batch(me());
        let from = |offset| Foreign { gref: 1, offset };
        assert!(batch.read(from(4090), &*ours, 0, 7).is_err());
        assert!(batch.read(from(0), &*ours, 4090, 7).is_err());
        assert!(batch.read(from(u16::MAX), &*ours, 0, 1).is_err());
        assert!(batch.write(&*ours, 0, from(0), 0).is_err());
        assert!(batch.is_empty());
        assert!(batch.read(from(0), &*ours, 0, 1).is_ok());
        assert!(batch.read(from(0), &*ours, 0, 1).is_err());
    }

    /// A pool has as many numbers as it was made with, and gets them back.
    #[test]
    fn a_pool_is_bounded() {
        let mut pool = GrantPool::new(2).unwrap();
        let page = GrantPage::zeroed().unwrap();
        let grant = || page.hold().unwrap();
        let first = pool.grant(me(), grant(), Access::ReadWrite).ok().unwrap();
        let second = pool.grant(me(), grant(), Access::ReadOnly).ok().unwrap();
        assert!(first.reference() != second.reference());
        assert_eq!(pool.free(), 0);
        assert!(pool.grant(me(), grant(), Access::ReadWrite).is_err());
        assert!(pool.end(first).is_ok());
        assert_eq!(pool.free(), 1);
        // Dropped, it takes its number with it: the other side might still use it.
        drop(second);
        assert_eq!(pool.free(), 1);
        assert!(GrantPool::new(0).is_err());
    }
}
