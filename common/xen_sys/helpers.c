// SPDX-License-Identifier: GPL-2.0
#include <xen/xen.h>
#include "helpers.h"

bool pvusb_helper_xen_domain(void)
{
	return xen_domain();
}
