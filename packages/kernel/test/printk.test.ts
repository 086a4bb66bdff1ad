// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { PrintkRing } from '../src/index.ts';

describe('printk', () => {
  it('keeps lines in order and hands each to the listener', () => {
    const ring = new PrintkRing();
    const heard: string[] = [];
    ring.onLine = (line) => heard.push(line);
    ring.print('one\ntwo');
    expect(ring.dmesg).toEqual(['one', 'two']);
    expect(heard).toEqual(['one', 'two']);
    ring.clear();
    expect(ring.dmesg).toEqual([]);
  });

  it('forgets the oldest line past 4096', () => {
    const ring = new PrintkRing();
    for (let i = 0; i < 4100; i++) ring.print(`${i}`);
    expect(ring.dmesg).toHaveLength(4096);
    expect(ring.dmesg[0]).toBe('4');
  });

  it('says nothing while muted', () => {
    const ring = new PrintkRing();
    ring.muted = true;
    ring.print('hidden');
    expect(ring.dmesg).toEqual([]);
  });
});
