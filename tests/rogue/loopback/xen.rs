// SPDX-License-Identifier: GPL-2.0

//! What `xen` offers, in one process.

pub(crate) type DomId = u16;

pub(crate) mod store {
    use super::super::guest::FRONT;
    use super::super::{here, locked, World};
    use crate::Result;
    use std::fmt::Display;
    use std::io;
    use std::sync::atomic::Ordering;
    use std::sync::Arc;

    pub(crate) struct Store(Arc<World>);

    impl Store {
        pub(crate) fn open() -> Result<Self> {
            Ok(Self(here()))
        }

        pub(crate) fn read(&self, path: &str) -> Result<Option<String>> {
            let nodes = locked(&self.0.nodes);
            Ok(nodes
                .get(path)
                .map(|value| String::from_utf8_lossy(value).into_owned()))
        }

        pub(crate) fn write(&self, path: &str, value: impl Display) -> Result<()> {
            Ok(self.write_bytes(path, value.to_string().as_bytes())?)
        }

        pub(crate) fn write_bytes(&self, path: &str, value: &[u8]) -> io::Result<()> {
            if value.len() > 4000 {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            locked(&self.0.nodes).insert(path.to_owned(), value.to_owned());
            Ok(())
        }

        pub(crate) fn remove(&self, path: &str) -> Result<()> {
            let below = format!("{path}/");
            let mut nodes = locked(&self.0.nodes);
            nodes.retain(|node, _| node != path && !node.starts_with(&below));
            if path == FRONT {
                self.0.removals.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }

        /// All that is here belongs to everybody.
        pub(crate) fn give(&self, _: &str, _: super::DomId, _: super::DomId) -> Result<()> {
            Ok(())
        }
    }
}

pub(crate) mod event {
    use super::super::{here, locked, Bell};
    use super::DomId;
    use crate::Result;
    use std::sync::atomic::Ordering;
    use std::sync::Arc;
    use std::time::Duration;

    pub(crate) struct Channel {
        bell: Arc<Bell>,
        port: u32,
    }

    impl Channel {
        pub(crate) fn allocate(_: DomId) -> Result<Self> {
            let world = here();
            let port = world.next_channel.fetch_add(1, Ordering::Relaxed) + 1;
            let bell = Arc::<Bell>::default();
            locked(&world.channels).insert(port, bell.clone());
            Ok(Self { bell, port })
        }

        /// The other end: it looks by itself, too.
        pub(crate) fn bind(_: DomId, port: u32) -> Result<Self> {
            let bell = locked(&here().channels).get(&port).cloned();
            let bell = bell.ok_or("no such channel")?;
            Ok(Self { bell, port })
        }

        pub(crate) fn port(&self) -> u32 {
            self.port
        }

        /// The backend here looks by itself.
        pub(crate) fn notify(&self) -> Result<()> {
            Ok(())
        }

        pub(crate) fn wait(&self, limit: Duration) -> Result<bool> {
            let guard = locked(&self.bell.guest);
            let waited = self
                .bell
                .rung
                .wait_timeout_while(guard, limit, |rung| !*rung);
            let (mut rung, _) = waited.map_err(|_| "a poisoned bell")?;
            Ok(std::mem::take(&mut *rung))
        }
    }
}

pub(crate) mod foreign {
    use super::super::{here, locked, World};
    use super::grant::{Access, Page};
    use super::DomId;
    use crate::Result;
    use ring::SharedPage;
    use std::sync::Arc;

    /// The only other domain's pages.
    #[derive(Clone)]
    pub(crate) struct Foreign(Arc<World>);

    impl Foreign {
        pub(crate) fn open(_: DomId) -> Result<Self> {
            Ok(Self(here()))
        }

        pub(crate) fn page(&self, gref: u32) -> Result<Page> {
            let grants = locked(&self.0.grants);
            let memory = grants.get(&gref).and_then(std::sync::Weak::upgrade);
            let memory = memory.filter(|memory| memory.access == Access::ReadWrite);
            Ok(Page::foreign(memory.ok_or("no such page")?, gref))
        }

        pub(crate) fn read(&self, gref: u32, offset: u16, out: &mut [u8]) -> Result<()> {
            self.page(gref)?.read(offset.into(), out);
            Ok(())
        }

        pub(crate) fn write(&self, gref: u32, offset: u16, bytes: &[u8]) -> Result<()> {
            self.page(gref)?.write(offset.into(), bytes);
            Ok(())
        }
    }
}

pub(crate) mod grant {
    use super::super::{here, locked, World};
    use super::DomId;
    use crate::Result;
    use ring::{SharedPage, PAGE_SIZE};
    use std::sync::atomic::{fence, AtomicU32, Ordering};
    use std::sync::Arc;

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Access {
        Read,
        ReadWrite,
    }

    #[derive(Clone)]
    pub(crate) struct Grants(Arc<World>);

    impl Grants {
        pub(crate) fn open() -> Result<Self> {
            Ok(Self(here()))
        }

        pub(crate) fn page(&self, domain: DomId, access: Access) -> Result<Page> {
            let gref = 1000 + self.0.next_grant.fetch_add(1, Ordering::Relaxed);
            let memory = Arc::new(Memory {
                words: std::array::from_fn(|_| AtomicU32::new(0)),
                domain,
                access,
            });
            locked(&self.0.grants).insert(gref, Arc::downgrade(&memory));
            Ok(Page { memory, gref })
        }
    }

    /// A page. Words, so that an index is never seen half written.
    pub(crate) struct Memory {
        words: [AtomicU32; PAGE_SIZE / 4],
        pub(crate) domain: DomId,
        pub(crate) access: Access,
    }

    #[derive(Clone)]
    pub(crate) struct Page {
        pub(crate) memory: Arc<Memory>,
        gref: u32,
    }

    impl Page {
        /// The other domain's view.
        pub(crate) fn foreign(memory: Arc<Memory>, gref: u32) -> Self {
            Self { memory, gref }
        }

        pub(crate) fn gref(&self) -> u32 {
            self.gref
        }

        /// Whether the other domain has it.
        pub(crate) fn is_mapped(&self) -> bool {
            Arc::strong_count(&self.memory) > 1
        }

        pub(crate) fn copy(&self, offset: usize, length: usize) -> Vec<u8> {
            let mut out = vec![0; length];
            self.read(offset, &mut out);
            out
        }
    }

    impl SharedPage for Page {
        fn load(&self, offset: usize) -> u32 {
            self.memory.words[offset / 4].load(Ordering::Acquire)
        }

        fn store(&self, offset: usize, value: u32) {
            self.memory.words[offset / 4].store(value, Ordering::Release);
        }

        fn full_barrier(&self) {
            fence(Ordering::SeqCst);
        }

        fn read(&self, offset: usize, out: &mut [u8]) {
            for (at, byte) in (offset..PAGE_SIZE).zip(out) {
                *byte = self.memory.words[at / 4]
                    .load(Ordering::Relaxed)
                    .to_le_bytes()[at % 4];
            }
        }

        fn write(&self, offset: usize, bytes: &[u8]) {
            for (at, byte) in (offset..PAGE_SIZE).zip(bytes) {
                let shift = 8 * (at % 4);
                let put = |word: u32| Some((word & !(0xff << shift)) | (u32::from(*byte) << shift));
                let _ = self.memory.words[at / 4].fetch_update(
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                    put,
                );
            }
        }
    }
}
