/* SPDX-License-Identifier: GPL-2.0 */
/* C inline functions and macros that Rust needs as functions. */
#ifndef PVUSB_HELPERS_H
#define PVUSB_HELPERS_H

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/usb/quirks.h>

struct device;
struct page;
struct ratelimit_state;

/* For common/xen. */
bool pvusb_helper_xen_domain(void);
bool pvusb_helper_evtchn_is_unbound(u32 port);
void pvusb_helper_device_unregister(struct device *dev);
bool pvusb_helper_hold_page(struct page *page);
void pvusb_helper_put_page(struct page *page);
unsigned long pvusb_helper_page_to_gfn(struct page *page);
void *pvusb_helper_page_address(struct page *page);
void pvusb_helper_copy_from_page(void *to, struct page *page, size_t offset,
				 size_t length);
void pvusb_helper_copy_to_page(struct page *page, size_t offset,
			       const void *from, size_t length);
void pvusb_helper_zero_page(struct page *page, size_t offset, size_t length);
void pvusb_helper_ratelimit_init(struct ratelimit_state *limit, int interval,
				 int burst);

/* For common/usb. */
struct usb_device;

enum pvusb_quirk {
	PVUSB_QUIRK_CONFIG_INTF_STRINGS = USB_QUIRK_CONFIG_INTF_STRINGS,
};

void pvusb_helper_usb_lock_device(struct usb_device *udev);
void pvusb_helper_usb_unlock_device(struct usb_device *udev);
struct page *pvusb_helper_virt_to_page(const void *addr);

/* For common/usb, being a host controller. */
struct scatterlist;

struct scatterlist *pvusb_helper_sg_next(struct scatterlist *entry);
struct page *pvusb_helper_sg_nth_page(struct scatterlist *entry, size_t n);
struct page *pvusb_helper_linear_page(const void *address);
int pvusb_helper_dma_set_masks(struct device *dev);

#endif
