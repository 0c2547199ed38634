// SPDX-License-Identifier: GPL-2.0

//! Files in a driver's sysfs directory: `/sys/bus/usb/drivers/NAME/FILE`.
//!
//! Two kinds. A [`StoreFile`] is a write-only text attribute (0200): one `write()` of at
//! most a page is one call. A [`ReadFile`] is read-only (0400) and of any length: a
//! binary attribute, because text attributes stop at a page.
//!
//! sysfs reads a binary attribute a page at a time and says no word about open and
//! close. So that a `cat` does not tear lines while the content changes, the content is
//! rendered when a reader reads at offset 0 and kept for this reader (told by its
//! `struct file`, compared only) until it reads the end or another reader starts. A reader
//! displaced so goes on in what is rendered anew.
//!
//! Lock order: a file's snapshot lock, then what `render` takes.

use crate::driver::{
    InterfaceDriver,
    Shared, //
};
use core::{
    fmt,
    marker::PhantomData, //
};
use kernel::{
    bindings,
    ffi,
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

/// A file that is written to.
pub trait StoreFile: 'static {
    /// The driver it belongs to.
    type Driver: InterfaceDriver;
    /// Its name.
    const NAME: &'static CStr;
    /// What was written, as it was written: with its newline, if any, and any bytes at
    /// all. An error is the writer's error.
    fn store(driver: &Self::Driver, input: &[u8]) -> Result;
}

/// A file that is read.
pub trait ReadFile: 'static {
    /// The driver it belongs to.
    type Driver: InterfaceDriver;
    /// Its name.
    const NAME: &'static CStr;
    /// Writes the whole content. An error of `out` (no memory) is to be passed on.
    fn render(driver: &Self::Driver, out: &mut Report) -> Result;
}

/// What a [`ReadFile`] writes to, with `write!`; grows as needed.
#[derive(Default)]
pub struct Report(KVVec<u8>);

impl fmt::Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl Report {
    /// Adds bytes as they are.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn push(&mut self, bytes: &[u8]) -> Result {
        self.0.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(())
    }
}

type Store = extern "C" fn(*mut bindings::device_driver, *const ffi::c_char, usize) -> isize;
type Read = extern "C" fn(
    *mut bindings::file,
    *mut bindings::kobject,
    *const bindings::bin_attribute,
    *mut ffi::c_char,
    bindings::loff_t,
    usize,
) -> isize;

enum Access {
    Store(Store),
    Read(Read),
}

/// One file of the driver `T`.
pub struct File<T> {
    name: &'static CStr,
    access: Access,
    _driver: PhantomData<fn(T)>,
}

impl<T: InterfaceDriver> File<T> {
    /// A file that is written to.
    pub const fn store<F: StoreFile<Driver = T>>() -> Self {
        Self {
            name: F::NAME,
            access: Access::Store(store::<F>),
            _driver: PhantomData,
        }
    }

    /// A file that is read.
    pub const fn read<F: ReadFile<Driver = T>>() -> Self {
        Self {
            name: F::NAME,
            access: Access::Read(read::<F>),
            _driver: PhantomData,
        }
    }
}

/// What one reader is reading.
struct Snapshot {
    reader: usize,
    content: Report,
}

/// The memory of a [`ReadFile`].
#[pin_data]
struct Reading {
    shared: *const Shared,
    #[pin]
    snapshot: Mutex<Option<Snapshot>>,
}

/// The attribute structures of a driver's files; sysfs keeps pointers into them until the
/// driver is unregistered, so nothing moves after `new`.
pub(crate) struct Files {
    groups: KBox<[*const bindings::attribute_group; 2]>,
    _group: KBox<bindings::attribute_group>,
    _attributes: KVec<*mut bindings::attribute>,
    _binaries: KVec<*const bindings::bin_attribute>,
    _stores: KVec<KBox<bindings::driver_attribute>>,
    _reads: KVec<KBox<bindings::bin_attribute>>,
    _readings: KVec<Pin<KBox<Reading>>>,
}

// SAFETY: plain memory; the pointers are sysfs's to follow, and `Reading` has a lock.
unsafe impl Send for Files {}

// SAFETY: as above.
unsafe impl Sync for Files {}

fn attribute(name: &'static CStr, mode: u16) -> bindings::attribute {
    // With lockdep there are more fields.
    #[cfg_attr(not(CONFIG_DEBUG_LOCK_ALLOC), expect(clippy::needless_update))]
    let attribute = bindings::attribute {
        name: name.as_char_ptr(),
        mode,
        ..Default::default()
    };
    // An attribute in allocated memory has no static lock class.
    #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
    let attribute = {
        let mut attribute = attribute;
        attribute.set_ignore_lockdep(true);
        attribute
    };
    attribute
}

impl Files {
    pub(crate) fn new<T: InterfaceDriver>(shared: &Shared) -> Result<Self> {
        let mut stores = KVec::new();
        let mut reads = KVec::new();
        let mut readings = KVec::new();
        let mut attributes = KVec::new();
        let mut binaries = KVec::new();
        for file in T::FILES {
            match file.access {
                Access::Store(callback) => {
                    let mut store = KBox::new(bindings::driver_attribute::default(), GFP_KERNEL)?;
                    store.attr = attribute(file.name, 0o200);
                    store.store = Some(callback);
                    attributes.push(&raw mut store.attr, GFP_KERNEL)?;
                    stores.push(store, GFP_KERNEL)?;
                }
                Access::Read(callback) => {
                    let reading = KBox::pin_init(
                        pin_init!(Reading {
                            shared,
                            snapshot <- new_mutex!(None),
                        }),
                        GFP_KERNEL,
                    )?;
                    let mut read = KBox::new(bindings::bin_attribute::default(), GFP_KERNEL)?;
                    read.attr = attribute(file.name, 0o400);
                    read.read = Some(callback);
                    // Read only, as a `Reading`.
                    read.private = (&raw const *reading).cast_mut().cast();
                    binaries.push(&raw const *read, GFP_KERNEL)?;
                    reads.push(read, GFP_KERNEL)?;
                    readings.push(reading, GFP_KERNEL)?;
                }
            }
        }
        attributes.push(core::ptr::null_mut(), GFP_KERNEL)?;
        binaries.push(core::ptr::null(), GFP_KERNEL)?;
        let mut group = KBox::new(bindings::attribute_group::default(), GFP_KERNEL)?;
        group.__bindgen_anon_2.attrs = attributes.as_mut_ptr();
        group.bin_attrs = binaries.as_ptr();
        let groups = KBox::new([&raw const *group, core::ptr::null()], GFP_KERNEL)?;
        Ok(Self {
            groups,
            _group: group,
            _attributes: attributes,
            _binaries: binaries,
            _stores: stores,
            _reads: reads,
            _readings: readings,
        })
    }

    /// For `device_driver.groups`; valid as long as `self`.
    pub(crate) fn groups(&self) -> *mut *const bindings::attribute_group {
        // sysfs reads it only.
        self.groups.as_ptr().cast_mut()
    }
}

extern "C" fn store<F: StoreFile>(
    driver: *mut bindings::device_driver,
    buffer: *const ffi::c_char,
    count: usize,
) -> isize {
    // SAFETY: sysfs calls this for a file of the driver of a `Registration<F::Driver>`, and
    // removing the files waits for it; the buffer has `count` bytes.
    let (context, input) = unsafe {
        (
            Shared::context::<F::Driver>(Shared::from_driver(driver)),
            core::slice::from_raw_parts(buffer.cast::<u8>(), count),
        )
    };
    match F::store(context, input) {
        // At most a page.
        Ok(()) => count as isize,
        Err(error) => error.to_errno() as isize,
    }
}

extern "C" fn read<F: ReadFile>(
    file: *mut bindings::file,
    _kobject: *mut bindings::kobject,
    attribute: *const bindings::bin_attribute,
    buffer: *mut ffi::c_char,
    position: bindings::loff_t,
    count: usize,
) -> isize {
    // SAFETY: `private` is the `Reading` that `Files::new` put there; it lives until the
    // files are removed, which waits for this. The driver is registered as long.
    let (reading, context) = unsafe {
        let reading = &*(*attribute).private.cast::<Reading>();
        (reading, Shared::context::<F::Driver>(reading.shared))
    };
    let reader = file as usize;
    let mut snapshot = reading.snapshot.lock();
    let kept = snapshot
        .take()
        .filter(|kept| position != 0 && kept.reader == reader);
    let current = match kept {
        Some(kept) => kept,
        None => {
            let mut content = Report::default();
            if let Err(error) = F::render(context, &mut content) {
                return error.to_errno() as isize;
            }
            Snapshot { reader, content }
        }
    };
    let rest = usize::try_from(position)
        .ok()
        .and_then(|position| current.content.0.get(position..))
        .unwrap_or_default();
    let part = rest.get(..count).unwrap_or(rest);
    let length = part.len();
    // SAFETY: the buffer has room for `count` bytes, and is sysfs's own.
    unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), buffer.cast::<u8>(), length) };
    if length != 0 {
        *snapshot = Some(current);
    }
    length as isize
}
