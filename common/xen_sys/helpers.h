/* SPDX-License-Identifier: GPL-2.0 */
/* C inline functions and macros that Rust needs as functions. */
#ifndef PVUSB_HELPERS_H
#define PVUSB_HELPERS_H

#include <linux/types.h>

bool pvusb_helper_xen_domain(void);

#endif
