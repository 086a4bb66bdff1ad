// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { hostFrames, kernelFrames, kernelSymbols } from '../src/backtrace.ts';

const at = (...names: string[]): string[] => names.map((name) => `    at ${name} (file.js:1:2)`);

describe('the call trace', () => {
  it('spells functions as C does, and leaves out the machinery', () => {
    const frames = at(
      'FaultHandler.#noContext',
      'Entry.pageFault',
      'Machine.deliverFault',
      'Column.get',
      'badDriverWrite',
      'new UsbHub',
      'Mutex.lock',
      'SomeDriver.probeDevice',
      'Runner.call',
      'testFunction',
    );
    expect(kernelFrames(frames, kernelSymbols)).toEqual([
      'exc_page_fault',
      'bad_driver_write',
      'usb_hub',
      'mutex_lock',
      'probe_device',
    ]);
  });

  it('starts below the exception that it reports', () => {
    const frames = at('Oops.pageFault', 'Entry.pageFault', 'victim', 'Runner.call');
    expect(kernelFrames(frames, kernelSymbols, 'exc_page_fault')).toEqual(['victim']);
  });

  it('leaves out the source of an event, whichever way V8 writes private methods', () => {
    const private1 = at('irqHandler', 'Entry.interrupt', '#handle', 'Runner.interrupt');
    const private2 = at('irqHandler', 'Entry.interrupt', 'Runner.#handle', 'Runner.interrupt');
    const rest = at(
      'Object.boundary',
      'mySource',
      'Recorder.operate',
      'victim',
      '#runCall',
      'host',
    );
    for (const frames of [private1, private2]) {
      expect(kernelFrames([...frames, ...rest], kernelSymbols)).toEqual([
        'irq_handler',
        'common_interrupt',
        'victim',
      ]);
    }
  });

  it('takes the names that modules bring', () => {
    const symbols = { ...kernelSymbols, 'DevAccess.enable': 'dev_access_enable' };
    expect(kernelFrames(at('DevAccess.enable', 'Runner.call'), symbols)).toEqual([
      'dev_access_enable',
    ]);
  });

  it('is empty on a host whose stacks look otherwise', () => {
    expect(kernelFrames(['wildStore@file.js:1:2'], kernelSymbols)).toEqual([]);
  });
});

describe('hostFrames', () => {
  it('starts at its caller, has as many as asked for, and leaves the host’s limit as it was', () => {
    const host = Error as { stackTraceLimit?: number };
    const before = host.stackTraceLimit;
    const frames = (function caller() {
      return hostFrames(2);
    })();
    expect(frames).toHaveLength(2);
    expect(frames[0]).toContain('at caller (');
    expect(host.stackTraceLimit).toBe(before);
  });
});
