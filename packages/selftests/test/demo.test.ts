// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import { strayContexts, sumStrays } from '../src/index.ts';
import { demoRun } from './demo-run.ts';

describe('the demo with protection', { timeout: 60_000 }, () => {
  it('stops every stray write but those of the task that holds the window', async () => {
    const { result, difference, complaints } = await demoRun();
    expect(complaints).toEqual([]);
    expect(difference).toMatchObject({ different: 0 });
    const all = sumStrays(result.strays);
    expect(all.reached).toBe(0);
    expect(all.attempted).toBe(all.stopped + all.insideWindow);
    expect(all.insideWindow).toBe(result.strays.sameTask.attempted);
    expect(result).toMatchObject({ transactions: 60, integrityCheck: 'ok', contentOk: true });
  });

  it.each([
    [3, true],
    [1, false],
  ])('makes every stray write that was asked for: seed %i, protected: %s', async (seed, on) => {
    const { result } = await demoRun({ seed, protected: on });
    expect(sumStrays(result.strays).attempted).toBe(600);
  });

  it('strikes from every context, and from each while a window is open', async () => {
    const { result } = await demoRun();
    const all = sumStrays(result.strays);
    expect(all.attempted).toBe(600);
    for (const context of strayContexts) {
      const { attempted, whileOpen } = result.strays[context];
      expect(attempted, context).toBeGreaterThanOrEqual(all.attempted * 0.1);
      expect(whileOpen, context).toBeGreaterThanOrEqual(attempted * 0.2);
    }
  });

  it.each([2, 3, 4, 5])(
    'tells the driver exactly what was seen from outside (seed %i)',
    async (seed) => {
      const { result } = await demoRun({ seed, strays: 1500 });
      const { issued, refused, done } = result.told;
      const others = strayContexts.filter((context) => context !== 'sameTask');
      const attempted = others.reduce((sum, context) => sum + result.strays[context].attempted, 0);
      expect({ issued, refused, done }).toEqual({ issued: attempted, refused: attempted, done: 0 });
    },
  );

  it('kills a kernel thread that stores with a plain instruction, and runs on', async () => {
    const { result } = await demoRun();
    const text = result.oops?.join('\n') ?? '';
    expect(text).toContain('#PF: supervisor write access in kernel mode');
    expect(text).toContain('#PF: error_code(0x0023) - protection keys violation');
    expect(text).toContain('Comm: stray/plain');
    expect(result.transactions).toBe(60);
  });

  it('lets stores within a window land in the canary alone', async () => {
    const { result } = await demoRun();
    expect(result.canary.changed).toBeGreaterThan(0);
    expect(result.landed).toEqual([]);
  });

  it('is the same twice from one seed, and another from another', async () => {
    const first = (await demoRun({ seed: 9 })).result;
    const { media, ...again } = await demoRun({ seed: 9 });
    expect(again.result).toEqual(first);
    expect((await demoRun({ seed: 10 })).result.strays).not.toEqual(first.strays);
    expect(media.counters.flushes).toBeGreaterThan(0);
  });

  it('goes on with the database of an earlier run', async () => {
    const { media, result } = await demoRun();
    const again = await demoRun({ on: media, seed: 2 });
    expect(again.complaints).toEqual([]);
    expect(again.result.rows).toBeGreaterThan(result.rows);
  });

  it('ends in order when it is stopped early', async () => {
    const stopped = await demoRun({ progress: ({ transactions }) => transactions < 30 });
    expect(stopped.result).toMatchObject({ interrupted: true, integrityCheck: 'ok' });
    expect(stopped.result.transactions).toBe(30);
    expect((await demoRun({ on: stopped.media })).complaints).toEqual([]);
  });

  it('runs with fewer chunks in host memory than the device has', async () => {
    const { complaints } = await demoRun({ pmemLimit: 2 * 1024 * 1024 });
    expect(complaints).toEqual([]);
  });
});

describe('the demo without protection', { timeout: 60_000 }, () => {
  it('loses data to every kind of stray write', async () => {
    const { result, difference, complaints } = await demoRun({ protected: false });
    for (const context of strayContexts) {
      const { attempted, reached } = result.strays[context];
      expect(reached, context).toBe(context === 'sameTask' ? 0 : attempted);
    }
    expect(result.landed.length).toBe(sumStrays(result.strays).reached);
    expect(difference.different).toBeGreaterThan(100);
    expect(complaints.join('\n')).toContain('stray writes changed data');
  });

  it('destroys the database in the long run', async () => {
    const { result } = await demoRun({ protected: false, transactions: 400, strays: 8000 });
    expect(result.contentOk).toBe(false);
    expect(result.integrityCheck).not.toBe('ok');
  });
});
