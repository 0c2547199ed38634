/* SPDX-License-Identifier: GPL-2.0 */
/* What bindgen reads: the kernel's Xen and USB host controller interfaces. */
#include <linux/scatterlist.h>
#include <linux/usb.h>
#include <linux/usb/hcd.h>
#include <xen/xen.h>
#include <xen/xenbus.h>
#include <xen/grant_table.h>
#include <xen/events.h>
#include <xen/page.h>
#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>
#include <xen/interface/grant_table.h>
#include <xen/interface/io/ring.h>
#include <xen/interface/io/usbif.h>
#include <xen/interface/io/xenbus.h>
#include "helpers.h"
