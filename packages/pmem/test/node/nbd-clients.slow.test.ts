// SPDX-License-Identifier: MIT
// Programs that other people wrote, as clients. scripts/install-nbd-clients.sh installs them where it may.

import type { ChildProcess } from 'node:child_process';
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createImage } from '../../src/node/index.ts';
import { MIB, pattern } from '../support.ts';
import { startServer } from './nbd-kills.ts';
import { temporaryFolder } from './processes.ts';

const PROGRAMS = ['nbdinfo', 'nbdcopy', 'qemu-io', 'qemu-img', 'fio'];
const missing = PROGRAMS.filter(
  (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined,
);
if (missing.length > 0) {
  process.stdout.write(
    `NBD clients: ${missing.join(', ')} not installed (scripts/install-nbd-clients.sh); their tests are skipped\n`,
  );
}

const run = promisify(execFile);
const SIZE = 32 * MIB;

let folder: ReturnType<typeof temporaryFolder>;
let server: ChildProcess;
let uri: string;
let image: string;

beforeAll(async () => {
  folder = temporaryFolder();
  image = join(folder.path, 'disk.img');
  createImage(image, SIZE);
  const unix = join(folder.path, 's');
  uri = `nbd+unix:///?socket=${unix}`;
  server = await startServer(image, unix);
});

afterAll(async () => {
  const ended = once(server, 'exit');
  server.stdin?.end();
  await ended;
  folder.remove();
});

async function output(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(program, args, { timeout: 30_000, encoding: 'utf8' });
  return stdout;
}

const needs = (program: string): ReturnType<typeof it.skipIf> =>
  it.skipIf(missing.includes(program));

describe('clients of other makers', () => {
  needs('nbdinfo')('nbdinfo finds everything that is served', async () => {
    const { exports } = JSON.parse(await output('nbdinfo', '--json', uri));
    expect(exports[0]).toMatchObject({
      'export-name': 'pmem0',
      'export-size': SIZE,
      is_read_only: false,
      can_flush: true,
      can_fua: true,
      can_multi_conn: true,
      can_trim: true,
      can_zero: true,
      can_cache: true,
      contexts: ['base:allocation'],
    });
    expect(await output('nbdinfo', '--list', uri)).toContain('export="pmem0"');
  });

  needs('nbdcopy')('nbdcopy gets back what it copied, and skips zeroes', async () => {
    const [from, to] = [join(folder.path, 'from'), join(folder.path, 'to')];
    const bytes = new Uint8Array(SIZE);
    bytes.set(pattern(5_000_001), 3 * MIB);
    writeFileSync(from, bytes);
    await run('nbdcopy', ['--flush', from, uri]);
    expect(Buffer.compare(readFileSync(image), bytes)).toBe(0);
    await run('nbdcopy', [uri, to]);
    expect(Buffer.compare(readFileSync(to), bytes)).toBe(0);
    expect(await output('nbdinfo', '--map', uri)).toMatch(/zero.*data.*zero/s);
  });

  needs('qemu-io')('qemu-io reads what it wrote, at odd offsets too', async () => {
    const commands = [
      'write -P 7 1000 5000',
      'read -P 7 1000 5000',
      'write -z 1500 3000',
      'read -P 0 1500 3000',
      'write -f -P 9 8192 512',
      'discard 65536 65536',
      'flush',
      'read -P 9 8192 512',
    ];
    const text = await output('qemu-io', '-f', 'raw', uri, ...commands.flatMap((c) => ['-c', c]));
    expect(text).not.toMatch(/failed|error/i);
    expect(text.match(/ bytes at offset/g)).toHaveLength(7);
  });

  needs('qemu-img')('qemu-img converts it and finds no difference', async () => {
    const copy = join(folder.path, 'copy.qcow2');
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', uri, copy]);
    const args = ['compare', '-f', 'raw', '-F', 'qcow2', uri, copy];
    expect(await output('qemu-img', ...args)).toContain('identical');
  });

  needs('fio')('fio verifies every block that it wrote', { timeout: 60_000 }, async () => {
    const job = ['--name=verify', '--ioengine=nbd', `--uri=${uri}`, '--bs=4k-64k', '--iodepth=16'];
    const how = ['--rw=randwrite', `--size=${SIZE}`, '--verify=crc32c', '--do_verify=1'];
    // fio leaves a state file where it runs.
    const options = { timeout: 60_000, cwd: folder.path };
    await run('fio', [...job, ...how, '--fsync=50', '--output-format=json'], options);
  });
});
