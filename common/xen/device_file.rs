// SPDX-License-Identifier: GPL-2.0

//! One text file in a device's sysfs directory, for as long as a driver is
//! bound to it.
//!
//! The driver core makes the file after `probe` and removes it before `remove`,
//! waiting for readers: the driver's data is there whenever it is read. The
//! structures that sysfs keeps pointers into are constants of the driver type.

use crate::{
    device::Device,
    driver::{Adapter, Driver},
};
use core::mem::MaybeUninit;
use kernel::{device::CoreInternal, ffi, page::PAGE_SIZE, prelude::*};
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
    const GROUPS: &'static [*const bindings::attribute_group; 2] =
        &[Self::GROUP, core::ptr::null()];

    /// For `device_driver.dev_groups`.
    pub(crate) fn groups() -> *mut *const bindings::attribute_group {
        match T::FILE {
            // The driver core reads it only.
            Some(_) => Self::GROUPS.as_ptr().cast_mut(),
            None => core::ptr::null_mut(),
        }
    }
}

extern "C" fn show<T: Driver>(
    dev: *mut bindings::device,
    _attribute: *mut bindings::device_attribute,
    buffer: *mut ffi::c_char,
) -> isize {
    // SAFETY: sysfs calls this for a device that is bound to this driver; a
    // `struct device` of this bus lies in a `xenbus_device`.
    let dev = unsafe {
        &*dev
            .byte_sub(core::mem::offset_of!(bindings::xenbus_device, dev))
            .cast::<Device<CoreInternal<'_>>>()
    };
    // SAFETY: the file is there only between `probe` and `remove`.
    let data = unsafe { Adapter::<T>::data(dev) };
    // SAFETY: sysfs gives a page, zeroed, that is nobody else's for the call.
    let page = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), PAGE_SIZE) };
    let mut text = Text { page, length: 0 };
    match T::show(dev, data, &mut text) {
        // At most a page.
        Ok(()) => text.length as isize,
        Err(_) => EFBIG.to_errno() as isize,
    }
}
