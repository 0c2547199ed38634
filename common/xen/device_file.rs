// SPDX-License-Identifier: GPL-2.0

//! Files in a device's sysfs directory, for as long as a driver is bound to it:
//! one text, and a directory `counters` of single numbers.
//!
//! The driver core makes the files after `probe` and removes them before `remove`,
//! waiting for readers: the driver's data is there whenever it is read. The
//! structures that sysfs keeps pointers into are constants of the driver type.

use crate::{
    device::Device,
    driver::{Adapter, Driver},
};
use core::mem::MaybeUninit;
use kernel::{device::CoreInternal, ffi, fmt::Write, page::PAGE_SIZE, prelude::*};
use xen_sys::bindings;

/// What is shown to one reader: text that ends where sysfs's page does.
pub struct Text<'a> {
    page: &'a mut [u8],
    length: usize,
}

impl kernel::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> kernel::fmt::Result {
        let end = self
            .length
            .checked_add(text.len())
            .ok_or(kernel::fmt::Error)?;
        let place = self
            .page
            .get_mut(self.length..end)
            .ok_or(kernel::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Most files in `counters`.
pub const MOST_COUNTERS: usize = 16;

/// A file in `counters`, and its place in the driver's list.
#[repr(C)]
struct CounterFile {
    file: bindings::device_attribute,
    index: usize,
}

impl<T: Driver> Adapter<T> {
    const ATTRIBUTE: &'static bindings::device_attribute = &{
        // SAFETY: zero is a value of every field: pointers, integers, a union of
        // optional functions.
        let mut file: bindings::device_attribute = unsafe { MaybeUninit::zeroed().assume_init() };
        if let Some(name) = T::FILE {
            file.attr.name = name.to_bytes_with_nul().as_ptr().cast();
            file.attr.mode = 0o444;
        }
        file.__bindgen_anon_1.show = Some(show::<T>);
        file
    };
    const ATTRIBUTES: &'static [*mut bindings::attribute; 2] = &[
        // sysfs reads it only.
        (&raw const Self::ATTRIBUTE.attr).cast_mut(),
        core::ptr::null_mut(),
    ];
    const GROUP: &'static bindings::attribute_group = &{
        // SAFETY: as above.
        let mut group: bindings::attribute_group = unsafe { MaybeUninit::zeroed().assume_init() };
        group.__bindgen_anon_2.attrs = Self::ATTRIBUTES.as_ptr().cast_mut();
        group
    };
    const COUNTER_FILES: &'static [CounterFile; MOST_COUNTERS] = &{
        // SAFETY: as above; and of an index.
        let mut files: [CounterFile; MOST_COUNTERS] =
            unsafe { MaybeUninit::zeroed().assume_init() };
        let mut places: &mut [CounterFile] = &mut files;
        let mut names = T::COUNTERS;
        let mut index: usize = 0;
        while let ([name, more @ ..], [place, others @ ..]) = (names, places) {
            place.file.attr.name = name.to_bytes_with_nul().as_ptr().cast();
            place.file.attr.mode = 0o444;
            place.file.__bindgen_anon_1.show = Some(show_counter::<T>);
            place.index = index;
            index = index.wrapping_add(1);
            names = more;
            places = others;
        }
        files
    };
    const COUNTER_ATTRIBUTES: &'static [*mut bindings::attribute; MOST_COUNTERS + 1] = &{
        assert!(T::COUNTERS.len() <= MOST_COUNTERS);
        let mut list = [core::ptr::null_mut(); MOST_COUNTERS + 1];
        let mut places: &mut [*mut bindings::attribute] = &mut list;
        let mut files: &[CounterFile] = Self::COUNTER_FILES;
        let mut names = T::COUNTERS;
        while let ([_, more @ ..], [file, rest @ ..], [place, others @ ..]) = (names, files, places)
        {
            *place = (&raw const file.file.attr).cast_mut();
            names = more;
            files = rest;
            places = others;
        }
        list
    };
    const COUNTER_GROUP: &'static bindings::attribute_group = &{
        // SAFETY: as above.
        let mut group: bindings::attribute_group = unsafe { MaybeUninit::zeroed().assume_init() };
        group.name = c"counters".to_bytes_with_nul().as_ptr().cast();
        group.__bindgen_anon_2.attrs = Self::COUNTER_ATTRIBUTES.as_ptr().cast_mut();
        group
    };
    const GROUPS: &'static [*const bindings::attribute_group; 3] = &match (T::FILE, T::COUNTERS) {
        (None, []) => [core::ptr::null(); 3],
        (None, _) => [Self::COUNTER_GROUP, core::ptr::null(), core::ptr::null()],
        (Some(_), []) => [Self::GROUP, core::ptr::null(), core::ptr::null()],
        (Some(_), _) => [Self::GROUP, Self::COUNTER_GROUP, core::ptr::null()],
    };

    /// For `device_driver.dev_groups`.
    pub(crate) fn groups() -> *mut *const bindings::attribute_group {
        // The driver core reads it only.
        Self::GROUPS.as_ptr().cast_mut()
    }
}

/// The device, and the data that its driver has made.
///
/// # Safety
///
/// sysfs calls with this for a file of a device that is bound to the driver `T`.
unsafe fn of_file<'a, T: Driver>(
    dev: *mut bindings::device,
) -> (&'a Device<CoreInternal<'a>>, Pin<&'a T::Data>) {
    // SAFETY: by this function's contract; a `struct device` of this bus lies in a
    // `xenbus_device`.
    let dev = unsafe {
        &*dev
            .byte_sub(core::mem::offset_of!(bindings::xenbus_device, dev))
            .cast::<Device<CoreInternal<'_>>>()
    };
    // SAFETY: the file is there only between `probe` and `remove`.
    (dev, unsafe { Adapter::<T>::data(dev) })
}

/// Has a text written into sysfs's buffer.
///
/// # Safety
///
/// `buffer` is the page that sysfs gives to a `show` function.
unsafe fn fill(
    buffer: *mut ffi::c_char,
    write: impl FnOnce(&mut Text<'_>) -> kernel::fmt::Result,
) -> isize {
    // SAFETY: sysfs gives a page, zeroed, that is nobody else's for the call.
    let page = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), PAGE_SIZE) };
    let mut text = Text { page, length: 0 };
    match write(&mut text) {
        // At most a page.
        Ok(()) => text.length as isize,
        Err(_) => EFBIG.to_errno() as isize,
    }
}

extern "C" fn show<T: Driver>(
    dev: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buffer: *mut ffi::c_char,
) -> isize {
    // SAFETY: sysfs calls this for the file of a bound device.
    let (dev, data) = unsafe { of_file::<T>(dev) };
    // SAFETY: sysfs's own buffer.
    unsafe { fill(buffer, |text| T::show(dev, data, text)) }
}

extern "C" fn show_counter<T: Driver>(
    dev: *mut bindings::device,
    attribute: *mut bindings::device_attribute,
    buffer: *mut ffi::c_char,
) -> isize {
    // SAFETY: sysfs calls this for a file of a bound device.
    let (dev, data) = unsafe { of_file::<T>(dev) };
    // SAFETY: only attributes of `COUNTER_FILES` have this function, which are the first
    // field of a `CounterFile`.
    let index = unsafe { (*attribute.cast::<CounterFile>()).index };
    let Some(value) = T::counter(dev, data, index) else {
        return ENODATA.to_errno() as isize;
    };
    // SAFETY: sysfs's own buffer.
    unsafe { fill(buffer, |text| writeln!(text, "{value}")) }
}
