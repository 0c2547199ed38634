#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Makes, or removes, the XenStore nodes of one vusb: the virtual USB host
# controller that a backend domain serves to a guest. For hosts that assign
# devices by usbback's sysfs rules; with xl, `xl usbctrl-attach` does this.
#
# The xenbus of each side looks at a new device directory only when its `state`
# reads 1, so `state` comes last, when all else is in place and readable: first
# the frontend's, then the backend's. A new node takes over the owner and the
# permissions of its directory, so only the directories are given theirs.
set -eu

usage() {
    cat <<USAGE
Usage: ${0##*/} [OPTION...] <frontend-id> <device-id>
       ${0##*/} --remove [OPTION...] <frontend-id> <device-id>

Creates virtual USB controller <device-id> of the guest with domain id
<frontend-id>, or removes it.

  --backend DOMID    domain whose usbback serves the controller (default 0)
  --ports N          ports of its root hub, 1..31 (default 8)
  --usb-ver VER      1: USB 1.1 controller, 2: USB 2.0 controller
                     (default: not written, which means 2)
  --remove           close the controller, wait for the backend to let go of
                     it, remove its nodes
  --timeout SECONDS  how long --remove waits, 0..600 (default 10)
  --help             show this

Example: for the guest with domain id 1
    ${0##*/} 1 0

Exit status:
  0    done
  1    wrong arguments
  2    the XenStore tools are missing, or XenStore does not answer
  3    there is no such domain
  4    the controller exists already, belongs to xl or to another backend
       domain, or (--remove) does not exist
  5    XenStore refused a step; what had been made is removed again
  6    --remove: the backend did not close in time; removed all the same
  129, 130, 143
       ended by a signal; a controller half made is removed again, a removal
       half done can be repeated
USAGE
}

say() { echo "${0##*/}: $*" >&2; }
die() {
    status=$1
    shift
    say "$*"
    exit "$status"
}
wrong() { die 1 "$* (see ${0##*/} --help)"; }

# want_number NAME VALUE MIN MAX: decimal and as XenStore paths spell it, so no
# sign and no leading zero. The length is checked first: test(1) has limits.
want_number() {
    case $2 in
    '' | *[!0-9]* | 0?*) wrong "$1 must be a number, not '$2'" ;;
    ??????*) wrong "$1 must be $3..$4, not $2" ;;
    esac
    if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
        wrong "$1 must be $3..$4, not $2"
    fi
}

# Debian has the tools beside the daemons, which not every PATH includes.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Old and new installations differ: one tool per verb, or one for all of them.
find_tools() {
    missing=
    for verb in read list write chmod rm; do
        command -v "xenstore-$verb" >/dev/null || missing="$missing xenstore-$verb"
    done
    one_tool=
    if [ -n "$missing" ]; then
        command -v xenstore >/dev/null ||
            die 2 "not found:$missing; install Xen's XenStore tools (Debian: xenstore-utils)"
        one_tool=yes
    fi
}

# xs VERB ARG...
xs() {
    xs_verb=$1
    shift
    if [ -n "$one_tool" ]; then
        xenstore "$xs_verb" "$@"
    else
        "xenstore-$xs_verb" "$@"
    fi
}

exists() { xs read "$1" >/dev/null 2>&1; }
# write NODE VALUE...: several nodes at once, all of them or none.
write() { xs write "$@" || die 5 "cannot write $1"; }
# owned NODE OWNER READER: what one side owns, the other may read.
owned() { xs chmod "$1" "n$2" "r$3" || die 5 "cannot set permissions of $1"; }

remove_empty() {
    for dir in "$@"; do
        if children=$(xs list "$dir" 2>/dev/null) && [ -z "$children" ]; then
            xs rm "$dir" 2>/dev/null || :
        fi
    done
}

undo() {
    trap '' HUP INT TERM
    verdict="vusb $id of domain $guest was not made, and nothing of it is left"
    for tree in "$front" "$back"; do
        if exists "$tree" && ! xs rm "$tree"; then
            verdict="vusb $id of domain $guest was not made, but remains of it are: try --remove"
        fi
    done
    # shellcheck disable=SC2086 # a list; numbers and slashes only
    remove_empty $new_dirs
    say "$verdict"
}

create() {
    exists "/local/domain/$guest" || die 3 "there is no domain $guest"
    exists "/local/domain/$backend" || die 3 "there is no backend domain $backend"
    for tree in "/libxl/$guest/device/vusb/$id" "$back" "$front"; do
        if exists "$tree"; then
            die 4 "domain $guest has a vusb $id already: $tree exists"
        fi
    done

    new_dirs=
    for dir in "${back%/*}" "${back%/*/*}" "${back%/*/*/*}" "${front%/*}" "${front%/*/*}"; do
        exists "$dir" || new_dirs="$new_dirs $dir"
    done
    trap undo EXIT

    write "$front" "" "$back" ""
    owned "$front" "$guest" "$backend"
    owned "$back" "$backend" "$guest"

    port_nodes=
    port=1
    while [ "$port" -le "$ports" ]; do
        port_nodes="$port_nodes $back/port-$port 0"
        port=$((port + 1))
    done
    # shellcheck disable=SC2086 # a list; numbers and slashes only
    write "$front/backend-id" "$backend" "$front/backend" "$back" \
        "$back/frontend-id" "$guest" "$back/frontend" "$front" \
        "$back/num-ports" "$ports" $port_nodes ${usb_ver:+"$back/usb-ver" "$usb_ver"}

    write "$front/state" 1
    write "$back/state" 1
    trap - EXIT
}

# Whose vusb is it, when the given backend domain has none? The guest owns this
# node, so it is worth a hint and no more; unprintable bytes stay out of it.
refuse_other_backend() {
    other=$(xs read "$front/backend-id" 2>/dev/null) || return 0
    case $other in
    "$backend" | '' | *[!0-9]* | ??????*) ;;
    *) die 4 "vusb $id of domain $guest names domain $other as its backend: say --backend $other" ;;
    esac
}

# True when the backend has closed, or its directory has gone by other hands.
wait_closed() {
    deadline=$(($(date +%s) + timeout))
    while state=$(xs read "$back/state" 2>/dev/null); do
        [ "$state" != 6 ] || return 0
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.2 2>/dev/null || sleep 1
    done
}

remove() {
    if exists "/libxl/$guest/device/vusb/$id"; then
        die 4 "xl made vusb $id of domain $guest: use xl usbctrl-detach $guest $id"
    fi
    if ! exists "$back"; then
        exists "$front" || die 4 "domain $guest has no vusb $id"
        refuse_other_backend
    fi

    result=0
    # In state 1, or without one, no driver has taken it; and without a frontend,
    # as after the guest's death, the driver has let go: nobody would answer.
    state=$(xs read "$back/state" 2>/dev/null) || state=
    exists "$front" || state=
    case $state in
    '' | 1 | 6) ;;
    *)
        write "$back/online" 0
        write "$back/state" 5
        if ! wait_closed; then
            say "the backend in domain $backend did not close vusb $id of domain $guest" \
                "within $timeout s: removing it by force"
            result=6
        fi
        ;;
    esac

    for tree in "$front" "$back"; do
        if exists "$tree"; then
            xs rm "$tree" || die 5 "cannot remove $tree"
        fi
    done
    remove_empty "${front%/*}" "${back%/*}"
    exit "$result"
}

backend=0
ports=8
usb_ver=
timeout=10
action=create
guest=
id=
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h)
        usage
        exit 0
        ;;
    --remove) action=remove ;;
    --backend=* | --ports=* | --usb-ver=* | --timeout=*)
        option=${1%%=*}
        value=${1#*=}
        shift
        set -- "$option" "$value" "$@"
        continue
        ;;
    --backend | --ports | --usb-ver | --timeout)
        [ $# -ge 2 ] || wrong "$1 needs a value"
        case $1 in
        --backend) want_number "$1" "$2" 0 32751 && backend=$2 ;;
        --ports) want_number "$1" "$2" 1 31 && ports=$2 ;;
        --usb-ver) want_number "$1" "$2" 1 2 && usb_ver=$2 ;;
        --timeout) want_number "$1" "$2" 0 600 && timeout=$2 ;;
        esac
        shift
        ;;
    -*) wrong "unknown option '$1'" ;;
    *)
        if [ -z "$guest" ]; then
            want_number '<frontend-id>' "$1" 0 32751
            guest=$1
        elif [ -z "$id" ]; then
            want_number '<device-id>' "$1" 0 65535
            id=$1
        else
            wrong "too many arguments: '$1'"
        fi
        ;;
    esac
    shift
done
if [ -z "$id" ]; then
    usage >&2
    exit 1
fi

front=/local/domain/$guest/device/vusb/$id
back=/local/domain/$backend/backend/vusb/$guest/$id

find_tools
xs list / >/dev/null || die 2 "XenStore does not answer: is this a privileged Xen domain, and are you root?"
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"$action"
