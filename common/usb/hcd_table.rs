// SPDX-License-Identifier: GPL-2.0

//! The table of C callbacks (`struct hc_driver`) of a [`HostController`].

use crate::hcd::{HostController, HubAnswer, Locked};
use crate::hcd_locked::count_periodic;
use crate::hcd_urb::{endpoint_key, Urb};
use core::{ptr, ptr::NonNull, slice};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    sync::{rcu, Arc},
};
use xen_sys::bindings;

type Raw = *mut bindings::usb_hcd;
type Int = kernel::ffi::c_int;

/// Bytes of a hub descriptor with room for 31 ports (`struct
/// usb_hub_descriptor` of `linux/usb/ch11.h`).
const HUB_DESCRIPTOR: usize = 15;

/// Table of a USB 2 controller.
pub(crate) fn usb20<T: HostController>() -> &'static bindings::hc_driver {
    Table::<T>::USB20
}

/// Table of a USB 1.1 controller.
pub(crate) fn usb11<T: HostController>() -> &'static bindings::hc_driver {
    Table::<T>::USB11
}

/// What the structure of a controller has for us.
#[repr(C)]
struct Private<T> {
    driver: *const T,
    table: bindings::hc_driver,
}

/// Where that is.
///
/// # Safety
///
/// `hcd` must be valid, and made with one of the tables here.
unsafe fn private<T>(hcd: Raw) -> *mut Private<T> {
    // SAFETY: By this function's contract: the tables ask for the room, which is aligned to
    // 8 bytes.
    unsafe { (&raw mut (*hcd).hcd_priv).cast() }
}

/// Where the private data holds the pointer to the driver.
///
/// # Safety
///
/// As for [`private`].
unsafe fn place<T>(hcd: Raw) -> *mut *const T {
    // SAFETY: By this function's contract.
    unsafe { &raw mut (*private::<T>(hcd)).driver }
}

/// Lets a controller find its driver, and use a table of its own. The core looks into that
/// as long as it has the controller, which a process that has mapped memory of a device's
/// node keeps, and we may be unloaded then.
///
/// # Safety
///
/// As for [`private`]; called once, before anybody else knows the controller.
pub(crate) unsafe fn set_controller<T: HostController>(hcd: Raw, controller: Arc<T>) {
    // SAFETY: By this function's contract; the table that it has is one of ours.
    unsafe {
        let table = &raw mut (*private::<T>(hcd)).table;
        table.write(*(*hcd).driver);
        (*hcd).driver = table;
        place::<T>(hcd).write(Arc::into_raw(controller));
    }
}

/// Hides the driver, and drops the count that [`set_controller`] has taken when nobody
/// is left who has found it. Sleeps.
///
/// # Safety
///
/// Once after `set_controller`, when the core lets nobody new in: `usb_remove_hcd()` has
/// returned.
pub(crate) unsafe fn put_controller<T: HostController>(hcd: Raw) {
    // SAFETY: By this function's contract.
    let controller = unsafe {
        let place = place::<T>(hcd);
        let controller = place.read();
        // Read at the same time by `Table::found`.
        place.write_volatile(ptr::null());
        controller
    };
    rcu::synchronize_rcu();
    // SAFETY: It came from `set_controller`, and nobody has it any more.
    drop(unsafe { Arc::from_raw(controller) });
}

struct Table<T>(core::marker::PhantomData<T>);

impl<T: HostController> Table<T> {
    const USB20: &'static bindings::hc_driver = &Self::table(T::PRODUCT_USB20, bindings::HCD_USB2);
    const USB11: &'static bindings::hc_driver = &Self::table(T::PRODUCT_USB11, bindings::HCD_USB11);

    /// Without HCD_DMA: the core maps nothing, and buffers stay where the class
    /// driver has them.
    const fn table(product: &'static CStr, generation: u32) -> bindings::hc_driver {
        // SAFETY: All of the structure may be zero: numbers, pointers, and
        // callbacks that there are not.
        let mut table: bindings::hc_driver = unsafe { core::mem::zeroed() };
        table.description = kernel::str::as_char_ptr_in_const_context(T::NAME);
        table.product_desc = kernel::str::as_char_ptr_in_const_context(product);
        table.hcd_priv_size = size_of::<Private<T>>();
        table.flags = (generation | bindings::HCD_BH) as Int;
        table.reset = Some(Self::reset);
        table.start = Some(Self::start);
        table.stop = Some(Self::stop);
        table.get_frame_number = Some(Self::get_frame_number);
        table.map_urb_for_dma = Some(Self::map_urb_for_dma);
        table.unmap_urb_for_dma = Some(Self::unmap_urb_for_dma);
        table.urb_enqueue = Some(Self::urb_enqueue);
        table.urb_dequeue = Some(Self::urb_dequeue);
        table.endpoint_disable = Some(Self::endpoint_disable);
        table.hub_status_data = Some(Self::hub_status_data);
        table.hub_control = Some(Self::hub_control);
        table.bus_suspend = Some(Self::bus_suspend);
        table.bus_resume = Some(Self::bus_resume);
        table
    }

    /// The driver, in a callback that `usb_remove_hcd()` waits for: those for the
    /// controller as a whole, and for its root hub.
    ///
    /// # Safety
    ///
    /// Only in such a callback of the core.
    unsafe fn driver<'a>(hcd: Raw) -> &'a T {
        // SAFETY: The core calls back between `Hcd::add` and the end of
        // `usb_remove_hcd()`, while `Hcd` has a count.
        unsafe { &**place::<T>(hcd) }
    }

    /// The driver, in any other callback. Who submits or unlinks a URB, disables an endpoint
    /// (`usb_set_interface()` does, without the device's lock), or asks for the
    /// frame or the root hub's status, has looked whether the controller is still there
    /// and then has no more than a reference to its `struct usb_hcd`: it may have been
    /// removed meanwhile.
    ///
    /// # Safety
    ///
    /// Only in a callback of the core. As the driver it is used only as long as `alive` is
    /// there, for which [`put_controller`] waits.
    unsafe fn found<'a>(hcd: Raw, _alive: &'a rcu::Guard) -> Option<&'a T> {
        // SAFETY: The private data is there as long as the structure; if the pointer is
        // not null, the count that belongs to it is not dropped before the guard is.
        unsafe { place::<T>(hcd).read_volatile().as_ref() }
    }

    extern "C" fn reset(hcd: Raw) -> Int {
        // SAFETY: We are in a callback.
        let wakes = unsafe { Self::driver(hcd) }.wakes();
        // SAFETY: The core calls this once, before anyone else knows the
        // structure and its root hub.
        unsafe {
            let usb20 = (*hcd).speed == bindings::HCD_USB2 as Int;
            // The backend's host translates for slower devices; to the hub
            // driver that looks like a translator in the root hub.
            (*hcd).set_has_tt(u32::from(usb20));
            let root_hub = (*hcd).self_.root_hub;
            bindings::device_set_wakeup_capable(&raw mut (*root_hub).dev, wakes);
        }
        0
    }

    extern "C" fn start(hcd: Raw) -> Int {
        // Changes of ports are told, not polled for: HCD_FLAG_POLL_RH is clear
        // in a new structure.
        //
        // SAFETY: The core calls this once, before the root hub is registered.
        unsafe { (*hcd).set_uses_new_polling(1) };
        0
    }

    extern "C" fn stop(hcd: Raw) {
        // SAFETY: We are in a callback.
        let driver = unsafe { Self::driver(hcd) };
        driver.stop(&mut Locked::new(driver));
    }

    extern "C" fn get_frame_number(hcd: Raw) -> Int {
        let alive = rcu::read_lock();
        // SAFETY: We are in a callback.
        let Some(driver) = (unsafe { Self::found(hcd, &alive) }) else {
            return ESHUTDOWN.to_errno();
        };
        (driver.frame_number() & 0x7ff) as Int
    }

    /// Nothing is mapped for DMA. The core's own function would also synchronise
    /// memory of `usb_alloc_noncoherent()` with a device, so that a bounce
    /// buffer of the DMA layer, which nobody has filled, would replace what was
    /// copied there.
    extern "C" fn map_urb_for_dma(_: Raw, _: *mut bindings::urb, _: bindings::gfp_t) -> Int {
        0
    }

    extern "C" fn unmap_urb_for_dma(_: Raw, _: *mut bindings::urb) {}

    extern "C" fn urb_enqueue(hcd: Raw, urb: *mut bindings::urb, _flags: bindings::gfp_t) -> Int {
        let alive = rcu::read_lock();
        // SAFETY: We are in a callback.
        let Some(driver) = (unsafe { Self::found(hcd, &alive) }) else {
            return ESHUTDOWN.to_errno();
        };
        from_result(|| {
            let mut locked = Locked::new(driver);
            // SAFETY: The core hands over a valid URB, and we hold the lock
            // with interrupts off.
            to_result(unsafe { bindings::usb_hcd_link_urb_to_ep(hcd, urb) })?;
            let Some(raw) = NonNull::new(urb) else {
                return Err(EINVAL);
            };
            // SAFETY: The URB was linked, and this is the only `Urb` of it.
            let urb = unsafe {
                count_periodic(hcd, raw.as_ptr(), 1);
                Urb::from_raw(raw)
            };
            match driver.enqueue(&mut locked, urb) {
                Ok(()) => Ok(0),
                Err((error, urb)) => {
                    let raw = urb.into_raw();
                    // SAFETY: The URB was linked above and the lock is held.
                    unsafe {
                        count_periodic(hcd, raw.as_ptr(), -1);
                        bindings::usb_hcd_unlink_urb_from_ep(hcd, raw.as_ptr());
                    }
                    Err(error)
                }
            }
        })
    }

    extern "C" fn urb_dequeue(hcd: Raw, urb: *mut bindings::urb, status: Int) -> Int {
        let alive = rcu::read_lock();
        // SAFETY: We are in a callback.
        let Some(driver) = (unsafe { Self::found(hcd, &alive) }) else {
            // Given back, with everything else.
            return EIDRM.to_errno();
        };
        from_result(|| {
            let mut locked = Locked::new(driver);
            // SAFETY: The core passes a valid URB, and we hold the lock with
            // interrupts off. It succeeds at most once for a URB that is linked
            // to its endpoint, so that has a key and has not been given back.
            let key = unsafe {
                to_result(bindings::usb_hcd_check_unlink_urb(hcd, urb, status))?;
                crate::hcd_urb::urb_key(urb)
            };
            if let Some(key) = key {
                driver.dequeue(&mut locked, key);
            }
            Ok(0)
        })
    }

    extern "C" fn endpoint_disable(hcd: Raw, ep: *mut bindings::usb_host_endpoint) {
        let alive = rcu::read_lock();
        // SAFETY: We are in a callback.
        let Some(driver) = (unsafe { Self::found(hcd, &alive) }) else {
            return;
        };
        let mut locked = Locked::new(driver);
        // SAFETY: The core passes a valid endpoint, whose private field is
        // ours, and protected by the lock.
        let key = unsafe {
            let key = endpoint_key(ep);
            (*ep).hcpriv = ptr::null_mut();
            key
        };
        if let Some(key) = key {
            driver.endpoint_disabled(&mut locked, key);
        }
    }

    extern "C" fn hub_status_data(hcd: Raw, buffer: *mut kernel::ffi::c_char) -> Int {
        let alive = rcu::read_lock();
        // SAFETY: We are in a callback.
        let Some(driver) = (unsafe { Self::found(hcd, &alive) }) else {
            return 0;
        };
        // SAFETY: The core's buffer has room for 31 ports, 4 bytes, which may not have been
        // written yet.
        let answer = unsafe {
            buffer.cast::<u8>().write_bytes(0, 4);
            slice::from_raw_parts_mut(buffer.cast::<u8>(), 4)
        };
        let mut locked = Locked::new(driver);
        driver.hub_status(&mut locked, answer) as Int
    }

    extern "C" fn hub_control(
        hcd: Raw,
        request: u16,
        value: u16,
        index: u16,
        buffer: *mut kernel::ffi::c_char,
        length: u16,
    ) -> Int {
        // SAFETY: We are in a callback.
        let driver = unsafe { Self::driver(hcd) };
        // SAFETY: The core's buffer holds at least a hub descriptor and at
        // least what was asked for; it has been zeroed. See rh_call_control().
        let answer = unsafe {
            let room = usize::from(length).max(HUB_DESCRIPTOR);
            slice::from_raw_parts_mut(buffer.cast::<u8>(), room)
        };
        let answer = driver.hub_control(&mut Locked::new(driver), request, value, index, answer);
        match answer {
            HubAnswer::Bytes(count) => count as Int,
            HubAnswer::Stall => EPIPE.to_errno(),
        }
    }

    extern "C" fn bus_suspend(hcd: Raw) -> Int {
        // SAFETY: We are in a callback.
        let driver = unsafe { Self::driver(hcd) };
        from_result(|| driver.bus_suspend(&mut Locked::new(driver)).map(|()| 0))
    }

    extern "C" fn bus_resume(hcd: Raw) -> Int {
        // SAFETY: We are in a callback.
        let driver = unsafe { Self::driver(hcd) };
        from_result(|| driver.bus_resume(&mut Locked::new(driver)).map(|()| 0))
    }
}
