# SPDX-License-Identifier: GPL-2.0
"""How often tests repeat and how much they move: the one place that says so."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    usbtest: int
    xl_cycles: int
    replugs: int
    destroys: int
    unbinds: int
    rules: int
    fill_mib: int
    line_kib: int
    played: int
    keys: int
    wakeups: int
    pictures: int
    samples: int
    rogue_step: int
    rogue_seeds: int
    hostile_seeds: int
    hostile_requests: int
    hostile_connections: int
    hostile_events: int
    flood_s: int
    lying_responses: int
    lying_connections: int
    kept_pages: int
    storm_pairs: int
    old_rounds: int
    # A device on every which port.
    port_step: int
    # Guests, controllers of each of them, and devices of each of those.
    shared_guests: int
    shared_vusbs: int
    shared_devices: int
    deaths: int
    # Rounds of replugging and connecting while allocations fail, and how many of a hundred do.
    faults: int
    fault_percents: tuple[int, ...]


# make check-long
LONG = Counts(
    usbtest=64,
    xl_cycles=10,
    replugs=50,
    destroys=20,
    unbinds=10,
    rules=1000,
    fill_mib=64,
    line_kib=1024,
    played=960_000,
    keys=500,
    wakeups=50,
    pictures=300,
    samples=480_000,
    rogue_step=1,
    rogue_seeds=200,
    # For each seed. All three: a million requests, 2,000 connections and 2^20 events of a
    # hostile frontend; 200,000 responses and 1,000 connections of a hostile backend.
    hostile_seeds=3,
    hostile_requests=350_000,
    hostile_connections=620,
    hostile_events=350_000,
    flood_s=60,
    lying_responses=70_000,
    # Twice as many are made.
    lying_connections=180,
    kept_pages=1000,
    storm_pairs=10_000,
    old_rounds=256,
    port_step=1,
    shared_guests=4,
    shared_vusbs=4,
    shared_devices=2,
    deaths=50,
    faults=5,
    fault_percents=(1, 10),
)
# make check-debug: one of each thing; what it looks for shows the first time
WATCHED = Counts(
    usbtest=8,
    xl_cycles=1,
    replugs=2,
    destroys=1,
    unbinds=1,
    rules=200,
    fill_mib=2,
    line_kib=32,
    played=48_000,
    keys=10,
    wakeups=2,
    pictures=10,
    samples=16_000,
    rogue_step=18,
    rogue_seeds=4,
    hostile_seeds=1,
    hostile_requests=250,
    hostile_connections=10,
    hostile_events=1 << 12,
    flood_s=10,
    lying_responses=200,
    lying_connections=4,
    kept_pages=20,
    storm_pairs=300,
    old_rounds=8,
    port_step=3,
    shared_guests=2,
    shared_vusbs=2,
    shared_devices=1,
    deaths=1,
    faults=1,
    fault_percents=(10,),
)
# make check: the same paths, often enough to see a fault that is not rare
SHORT = Counts(
    usbtest=8,
    xl_cycles=2,
    replugs=2,
    destroys=1,
    unbinds=2,
    rules=1000,
    fill_mib=8,
    line_kib=64,
    played=240_000,
    keys=40,
    wakeups=3,
    pictures=25,
    samples=48_000,
    rogue_step=18,
    rogue_seeds=4,
    hostile_seeds=1,
    hostile_requests=800,
    hostile_connections=12,
    hostile_events=1 << 13,
    flood_s=8,
    lying_responses=200,
    lying_connections=4,
    kept_pages=40,
    storm_pairs=1000,
    old_rounds=32,
    port_step=3,
    shared_guests=2,
    shared_vusbs=2,
    shared_devices=1,
    deaths=2,
    faults=2,
    fault_percents=(1, 10),
)
