# SPDX-License-Identifier: GPL-2.0
#
# The front door. Kbuild holds the rules of the modules themselves.

# The kernel's build enters this directory too, with its own variables.
ifeq ($(KERNELRELEASE),)

SHELL := /bin/sh
tool  := scripts/tool-root
MODULES := usbbk.ko xen-hcd.ko
# Of the tests; those of the lab are in tests/lab/parts.py.
PARTS   := host first-light usb hostile-frontend hostile-backend hostile-devices watched

# Prepared kernel tree; empty: scripts/kernel-tree makes one.
KDIR ?=
# Root of another system to install into, such as a guest's.
INSTALL_MOD_PATH ?=
release = $(shell modinfo -F vermagic ./usbbk.ko | cut -d' ' -f1)
moddir  = $(INSTALL_MOD_PATH)/lib/modules/$(release)

.PHONY: all modules host install uninstall demo check check-long check-debug check-kasan lint \
	lab-shell clean distclean help

all: modules host ## build both modules and every host crate

modules: ## build usbbk.ko and xen-hcd.ko (KDIR=TREE for another kernel)
	@scripts/build-modules $(if $(KDIR),--kdir $(KDIR)) $(if $(W),W=$(W))

host: ## build the crates that run on any host
	@$(tool) cargo build --quiet --workspace

install: $(MODULES) ## install under updates/, so that modprobe takes ours
	@test -d $(moddir) || { echo "install: $(moddir) is missing: the modules are for $(release), which is not installed there" >&2; exit 1; }
	install -D -m 644 -t $(moddir)/updates $(MODULES)
	depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(release)

uninstall: ## remove what install put there
	rm -f $(addprefix $(moddir)/updates/,$(MODULES))
	-rmdir --ignore-fail-on-non-empty $(moddir)/updates
	depmod $(if $(INSTALL_MOD_PATH),-b $(INSTALL_MOD_PATH)) $(release)

$(MODULES):
	@echo "$@ is not built yet: run make first" >&2; exit 1

demo: modules ## watch a USB stick of dom0 being used in a guest
	@$(tool) scripts/lab-demo

check: ## run all tests, or with PART=NAME those of one part
	@scripts/check $(if $(filter host,$(PART)),--only host,$(PART:%=--part %))

# Hours for all of them. Each part has its report.
check-long: $(addprefix check-long-,$(or $(PART),$(PARTS) mutants)) ## host tests, planted bugs (PART=mutants) and the lab at full counts, or with PART=NAME one part; reports in Documentation/reports

check-long-host:
	@scripts/check --long --only host --report Documentation/reports/host.md

check-long-mutants:
	@scripts/mutants

check-long-watched:
	@scripts/check --kernel debug --long --part watched --report Documentation/reports/watched.md

check-long-%:
	@scripts/check --long --part $* --report Documentation/reports/$*.md

check-debug: ## the lab at reduced counts on a kernel with lockdep, kmemleak, heap checks
	@scripts/check --kernel debug

check-kasan: ## hostile peers and more in guests whose kernel watches every access to memory
	@scripts/check --kernel kasan

lint: ## formatting and lints only
	@scripts/check --only lint

lab-shell: modules ## a prompt in dom0 with a guest running
	@$(tool) scripts/lab-shell

clean: ## remove what was built here
	rm -rf build target $(MODULES) pvusb_kunit.ko

distclean: clean ## and the cached roots and kernel trees
	rm -rf "$${PVUSB_CACHE:-/var/cache/pvusb}"

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20
	@echo 'Parts: $(PARTS)'

endif
