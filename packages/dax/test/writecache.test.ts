// SPDX-License-Identifier: MIT
// A user that keeps the address of dax_direct_access after the unlock: dm-writecache (D-25).

import { type BootOptions, KernelError, TaskKilled } from '@pkslab/kernel';
import { describe, expect, it } from 'vitest';
import { Writecache } from '../src/index.ts';
import { rig } from './support.ts';

function storeAndLoad(options: BootOptions): number {
  const { kernel, device } = rig(options);
  const cache = kernel.call(() => Writecache.claim(kernel, device, 4));
  kernel.call(() => cache.store(4096, 7));
  const value = kernel.call(() => cache.load(4096));
  kernel.call(() => cache.release());
  return value;
}

describe('dm-writecache', () => {
  it('is refused in the first postings, where nobody thought of it', () => {
    expect(() => storeAndLoad({ revision: 'rfc-v2' })).toThrow(TaskKilled);
    expect(() => storeAndLoad({ revision: 'rfc-v3' })).toThrow(TaskKilled);
  });

  it('is refused under writecache-keeps-pointer', () => {
    expect(() => storeAndLoad({ sabotages: ['writecache-keeps-pointer'] })).toThrow(TaskKilled);
  });

  it('works with a mapping of its own in v7 and v10, and with the lock around each use in reference', () => {
    const strict = { faultMode: 'strict' };
    expect(storeAndLoad({ revision: 'v7', with: strict })).toBe(7);
    expect(storeAndLoad({ revision: 'v10', with: strict })).toBe(7);
    expect(storeAndLoad({})).toBe(7);
    expect(storeAndLoad({ revision: 'rfc-v2', repairs: ['D-25'] })).toBe(7);
  });

  it('has a mapping with key 0 then, through which a stray of anybody goes (D-56)', () => {
    const { kernel, device, pagemap } = rig({ revision: 'v10', with: { faultMode: 'strict' } });
    const cache = kernel.call(() => Writecache.claim(kernel, device, 4));
    const own = -0x3700_0000_0000;
    expect(kernel.mm.lookup(own)).toMatchObject({ present: true, key: 0 });
    expect(kernel.mm.lookup(own).frame).toBe(kernel.mm.lookup(pagemap.address).frame);
    expect(kernel.call(() => kernel.machine.tryStore32(own + 16, 9))).toBe(false);
    expect(kernel.call(() => cache.load(16))).toBe(9);
    kernel.call(() => cache.release());
    expect(kernel.mm.lookup(own).present).toBe(false);
  });

  it('needs a device that is alive', () => {
    const { kernel, core, device } = rig();
    kernel.call(() => core.killDax(device));
    expect(() => kernel.call(() => Writecache.claim(kernel, device, 4))).toThrow(KernelError);
  });
});
