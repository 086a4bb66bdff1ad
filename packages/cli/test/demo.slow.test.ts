// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openFileMedia } from '@pkslab/pmem/node';
import { describe, expect, it } from 'vitest';
import { pkslab, startPkslab, temporaryFolder } from './pkslab.ts';

const SMALL = ['--transactions', '60', '--strays', '400', '--size', '4M'];
/** So long that it is interrupted before its end. */
const LONG = ['--transactions', '200000', '--strays', '200000', '--size', '4M'];

const image = (): string => join(temporaryFolder(), 'pmem.img');

interface DemoPhase {
  readonly strays: Readonly<Record<'attempted' | 'stopped' | 'insideWindow' | 'reached', number>>;
  readonly transactions: number;
  readonly integrityCheck: string;
  readonly contentOk: boolean;
}

interface DemoDocument {
  readonly ok: boolean;
  readonly seed: number;
  readonly protected: DemoPhase;
  readonly unprotected: DemoPhase;
}

function rowsOk(text: string): void {
  expect(text).toContain('PRAGMA integrity_check: ok; every row as it should be: yes');
  expect(text).toContain('all as written');
}

describe('pkslab demo', { timeout: 60_000 }, () => {
  it('stops the stray writes, shows what they do unstopped, and says so', async () => {
    const { status, out, err } = await pkslab('demo', ...SMALL);
    expect(status).toBe(0);
    rowsOk(out);
    expect(out).toMatch(/^ok: 3\d\d stray writes stopped, none reached the data/m);
    expect(err).toContain('#PF: error_code(0x0023) - protection keys violation');
    const path = /^image: (.*)$/m.exec(err)?.[1] as string;
    expect(existsSync(path)).toBe(false);
  });

  it('prints one JSON document and nothing else on stdout', async () => {
    const { status, out } = await pkslab('demo', ...SMALL, '--json', '--seed', '5');
    expect(status).toBe(0);
    const document = JSON.parse(out) as DemoDocument;
    expect(Object.keys(document)).toEqual(['ok', 'seed', 'protected', 'unprotected']);
    expect(document).toMatchObject({ ok: true, seed: 5 });
    const on = document.protected;
    expect(Object.keys(on)).toEqual(['strays', 'transactions', 'integrityCheck', 'contentOk']);
    expect(on).toMatchObject({ transactions: 60, integrityCheck: 'ok', contentOk: true });
    expect(on.strays.reached).toBe(0);
    expect(on.strays.stopped + on.strays.insideWindow).toBe(on.strays.attempted);
    expect(on.strays.attempted).toBeGreaterThan(390);
    const { strays } = document.unprotected;
    expect(strays.stopped).toBe(0);
    expect(strays.reached).toBeGreaterThan(300);
  });

  it('makes an image, and goes on with it in another process', async () => {
    const path = image();
    expect((await pkslab('demo', path, ...SMALL)).status).toBe(0);
    expect(readFileSync(path)).toHaveLength(4 * 1024 * 1024);
    const { status, out } = await pkslab('demo', path, ...SMALL, '--seed', '2');
    expect(status).toBe(0);
    rowsOk(out);
    expect(existsSync(`${path}.lock`)).toBe(false);
  });

  it('keeps the log and the copies if asked', async () => {
    const { err } = await pkslab('demo', ...SMALL, '--keep');
    const path = /^image: (.*)$/m.exec(err)?.[1] as string;
    expect(existsSync(path)).toBe(true);
    expect(err).toContain('kept: ');
    spawnSync('rm', ['-rf', join(path, '..')]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('leaves an image that opens after %s', async (signal) => {
    const path = image();
    const run = startPkslab(['demo', path, ...LONG]);
    await run.says('seed 1');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    run.process.kill(signal);
    const { status, err } = await run.finished;
    expect(status).toBe(130);
    expect(err).toContain('the image is closed and opens again');
    expect(existsSync(`${path}.lock`)).toBe(false);
    const again = await pkslab('demo', path, ...SMALL);
    expect(again.status).toBe(0);
    rowsOk(again.out);
  });

  it('replays the journal of an image whose process was killed', async () => {
    const path = image();
    const run = startPkslab(['demo', path, ...LONG], dirname(path));
    await run.says('seed 1');
    await new Promise((resolve) => setTimeout(resolve, 1200));
    run.process.kill('SIGKILL');
    await run.finished;
    expect(existsSync(`${path}.lock`)).toBe(true);
    const again = await pkslab('demo', path, ...SMALL);
    expect(again.status).toBe(0);
    rowsOk(again.out);
  });
});

describe('pkslab demo refuses, and leaves alone,', { timeout: 60_000 }, () => {
  async function refused(path: string, message: string, ...args: string[]): Promise<void> {
    const before = existsSync(path) ? readFileSync(path) : null;
    const { status, out, err } = await pkslab('demo', path, ...SMALL, ...args);
    expect([status, out]).toEqual([1, '']);
    expect(err).toContain(message);
    expect(err).not.toContain('    at ');
    if (before !== null) expect(readFileSync(path).equals(before)).toBe(true);
    expect(existsSync(`${path}.lock`)).toBe(false);
  }

  it('an image in a folder that is not there', () =>
    refused(join(temporaryFolder(), 'none', 'pmem.img'), 'there is no folder'));

  it('a read-only image', async () => {
    const path = image();
    writeFileSync(path, new Uint8Array(4 * 1024 * 1024));
    chmodSync(path, 0o444);
    await refused(path, 'may not be written to');
  });

  it('an image whose size is no multiple of 4 KiB, or too small', async () => {
    const path = image();
    writeFileSync(path, 'x');
    truncateSync(path, 5000);
    await refused(path, 'not a positive multiple of 4096');
    truncateSync(path, 8192);
    await refused(path, 'it takes at least 1048576');
  });

  it('a file that holds something else', async () => {
    const path = image();
    writeFileSync(path, new Uint8Array(4 * 1024 * 1024).fill(0x5a));
    await refused(path, 'it holds something else');
  });

  it('an image in use by another process', async () => {
    const path = image();
    const media = openFileMedia(path, { create: 4 * 1024 * 1024 });
    const { status, err } = await pkslab('demo', path, ...SMALL);
    media.close();
    expect(status).toBe(1);
    expect(err).toContain(`in use by process ${process.pid}`);
  });

  it('a size that is too large to check', () =>
    refused(image(), 'the demo takes at most', '--size', '2G'));
});
