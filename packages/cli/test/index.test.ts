// SPDX-License-Identifier: MIT
import * as dax from '@pkslab/dax';
import * as explore from '@pkslab/explore';
import * as kernel from '@pkslab/kernel';
import * as kmap from '@pkslab/kmap';
import * as memremap from '@pkslab/memremap';
import * as pksCore from '@pkslab/pks-core';
import * as pmem from '@pkslab/pmem';
import * as selftests from '@pkslab/selftests';
import * as cpu from '@pkslab/x86-cpu';
import { describe, expect, it } from 'vitest';
import * as all from '../src/index.ts';

describe('the one import', () => {
  it.each([
    ['dax', dax],
    ['explore', explore],
    ['kernel', kernel],
    ['kmap', kmap],
    ['memremap', memremap],
    ['pks-core', pksCore],
    ['pmem', pmem],
    ['selftests', selftests],
    ['x86-cpu', cpu],
  ])('has every name of %s', (_name, layer) => {
    const names: Readonly<Record<string, unknown>> = all;
    for (const [name, value] of Object.entries(layer)) {
      if (name !== 'boot') expect(names[name], name).toBe(value);
    }
  });

  it('boots the whole stack with devices', () => {
    const { devices, kernel: booted } = all.boot({
      cpus: 2,
      pmem: [{ media: all.memoryMedia(2 ** 21) }],
    });
    expect(devices[0]?.pagemap.pkey).toBe(1);
    expect(booted.dmesg.join('\n')).toContain('pmem0: detected capacity change');
    expect(all.bootKernel().module).toBeTypeOf('function');
  });
});
