// SPDX-License-Identifier: GPL-2.0
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/ratelimit.h>
#include <linux/scatterlist.h>
#include <linux/string.h>
#include <linux/usb.h>
#include <xen/interface/event_channel.h>
#include <xen/page.h>
#include <xen/xen.h>
#include <asm/xen/hypercall.h>
#include "helpers.h"

bool pvusb_helper_xen_domain(void)
{
	return xen_domain();
}

/* Whether one of our own event channels waits for another domain to bind to it. */
bool pvusb_helper_evtchn_is_unbound(u32 port)
{
	struct evtchn_status status = { .dom = DOMID_SELF, .port = port };

	return !HYPERVISOR_event_channel_op(EVTCHNOP_status, &status) &&
	       status.status == EVTCHNSTAT_unbound;
}

/*
 * Unregisters a device, from within xenwatch. Someone who unbinds the device
 * holds its lock and waits for xenwatch, which would then wait for the lock:
 * if it is held, leave the device to them.
 */
void pvusb_helper_device_unregister(struct device *dev)
{
	if (!device_trylock(dev))
		return;
	device_unlock(dev);
	device_unregister(dev);
}

/*
 * Takes a reference to a page, if it is of a kind that a reference keeps, and
 * this domain's to grant: memory of the slab allocator is freed without looking
 * at it, and a page that another domain has granted is not ours to pass on.
 */
bool pvusb_helper_hold_page(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (folio_test_slab(folio) || folio_test_large_kmalloc(folio))
		return false;
	if (!folio_test_large(folio) && PageForeign(page))
		return false;
	return folio_try_get(folio);
}

void pvusb_helper_put_page(struct page *page)
{
	put_page(page);
}

unsigned long pvusb_helper_page_to_gfn(struct page *page)
{
	return xen_page_to_gfn(page);
}

void *pvusb_helper_page_address(struct page *page)
{
	return page_address(page);
}

void pvusb_helper_copy_from_page(void *to, struct page *page, size_t offset,
				 size_t length)
{
	memcpy(to, page_address(page) + offset, length);
}

void pvusb_helper_copy_to_page(struct page *page, size_t offset,
			       const void *from, size_t length)
{
	memcpy(page_address(page) + offset, from, length);
}

void pvusb_helper_zero_page(struct page *page, size_t offset, size_t length)
{
	memset(page_address(page) + offset, 0, length);
}

void pvusb_helper_ratelimit_init(struct ratelimit_state *limit, int interval,
				 int burst)
{
	ratelimit_state_init(limit, interval, burst);
}

void pvusb_helper_usb_lock_device(struct usb_device *udev)
{
	usb_lock_device(udev);
}

void pvusb_helper_usb_unlock_device(struct usb_device *udev)
{
	usb_unlock_device(udev);
}

struct page *pvusb_helper_virt_to_page(const void *addr)
{
	return virt_to_page(addr);
}

struct scatterlist *pvusb_helper_sg_next(struct scatterlist *entry)
{
	return sg_next(entry);
}

/* An entry may be longer than a page, if its pages follow each other. */
struct page *pvusb_helper_sg_nth_page(struct scatterlist *entry, size_t n)
{
	return sg_page(entry) + n;
}

/* NULL for vmalloc and module memory, stacks and the like. */
struct page *pvusb_helper_linear_page(const void *address)
{
	return virt_addr_valid(address) ? virt_to_page(address) : NULL;
}

int pvusb_helper_dma_set_masks(struct device *dev)
{
	return dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
}
