// SPDX-License-Identifier: MIT
// Who holds device memory beyond a lock, and how devices are counted as they come and go.

import { Fsdax, Writecache } from '@pkslab/dax';
import { type Kernel, PAGE_OFFSET } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { memoryMedia, pmem } from '@pkslab/pmem';
import { CHUNK_SIZE, PAGE_SIZE } from '@pkslab/x86-cpu';
import type { Bench, SelfTest } from './bench.ts';
import { attachDevice } from './device-rig.ts';

const VECTOR = 0x20;

function reports(kernel: Kernel, text: string): boolean {
  return kernel.dmesg.some((line) => line.includes(text));
}

function branchCounts(bench: Bench): void {
  const kernel = bench.boot();
  const { branch } = kernel.module(memremap).access;
  const count = (): number => branch.count.values[0] as number;
  const first = attachDevice(kernel).device;
  const second = attachDevice(kernel).device;
  bench.equal('the static branch with two devices', count(), 2);
  kernel.call(() => second.detach());
  bench.equal('the static branch with one device', count(), 1);
  kernel.call(() => first.detach());
  bench.equal('the static branch without a device', count(), 0);
}

function unbindDevDax(bench: Bench): void {
  const kernel = bench.boot();
  const driver = kernel.module(pmem);
  const device = kernel.call(() => driver.attachDevDax({ media: memoryMedia(CHUNK_SIZE) }));
  kernel.call(() => driver.detachDevDax(device));
  const negative = reports(kernel, 'jump label: negative count!');
  bench.check(!negative, 'devmap_managed_key is put by a device that did not get it');
}

function pageHeld(bench: Bench): void {
  const kernel = bench.boot();
  const { pagemaps } = kernel.module(memremap);
  const { device } = attachDevice(kernel);
  const pfn = device.physical / PAGE_SIZE;
  const mapped = (): boolean => kernel.mm.lookup(device.address).present;
  kernel.call(() => {
    bench.check(pagemaps.getPage(pfn), 'get_page fails');
    kernel.spawn('unbind', () => device.detach());
  });
  kernel.run();
  bench.check(mapped(), 'the device is unmapped while a page of it is held');
  kernel.call(() => pagemaps.putPage(pfn));
  kernel.run();
  bench.check(!mapped(), 'the device is mapped after its last page is put');
}

function writeback(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  kernel.call(() => new Fsdax(kernel).writebackOne(device.dax, device.address, 1));
  const stray = kernel.call(() => !kernel.machine.tryStore32(device.address, 1));
  bench.check(!stray, 'a stray store reached the device after the write-back');
}

function writecache(bench: Bench): void {
  const kernel = bench.boot();
  const { device } = attachDevice(kernel);
  const cache = kernel.call(() => Writecache.claim(kernel, device.dax, 4));
  kernel.call(() => cache.store(PAGE_SIZE, 7));
  bench.equal(
    'what was stored',
    kernel.call(() => cache.load(PAGE_SIZE)),
    7,
  );
  kernel.call(() => cache.release());
}

function kmapInHandler(bench: Bench): void {
  const kernel = bench.boot();
  const maps = kernel.module(kmap);
  const pfn = kernel.call(() => kernel.mm.allocPage()) / PAGE_SIZE;
  kernel.entry.requestIrq(VECTOR, () => {
    maps.kmap(pfn);
    maps.kunmap(pfn);
  });
  let fired = false;
  kernel.runner.attach({
    boundary(runner) {
      if (fired) return;
      fired = true;
      runner.interrupt(VECTOR);
    },
  });
  kernel.call(() => kernel.machine.load32(PAGE_OFFSET));
  kernel.runner.attach(null);
  const told = reports(kernel, 'BUG: sleeping function called from invalid context');
  bench.check(told, 'nobody says that kmap in a handler may sleep');
}

export const deviceUserTests: readonly SelfTest[] = [
  {
    name: 'branch-counts-devices',
    sentence: 'The static branch counts each protected device, and is at 0 after the last one.',
    origin: 'ours',
    run: branchCounts,
  },
  {
    name: 'devdax-unbind',
    sentence: 'A device-dax that is unbound puts no static branch that it did not get.',
    origin: 'ours',
    run: unbindDevDax,
  },
  {
    name: 'page-held',
    sentence: 'A device stays mapped while somebody holds a page of it.',
    origin: 'ours',
    run: pageHeld,
  },
  {
    name: 'fsdax-writeback',
    sentence: 'dax_writeback_one reaches a protected page, and closes it behind itself.',
    origin: 'ours',
    run: writeback,
  },
  {
    name: 'writecache',
    sentence: 'dm-writecache, which keeps an address after the unlock, can use it.',
    origin: 'ours',
    run: writecache,
  },
  {
    name: 'kmap-in-handler',
    sentence: 'kmap in an interrupt handler is reported, since it may sleep.',
    origin: 'ours',
    run: kmapInHandler,
  },
];
