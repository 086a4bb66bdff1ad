// SPDX-License-Identifier: MIT
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createImage, openFileMedia } from '@pkslab/pmem/node';
import { arrayDisk, Volume } from '@pkslab/selftests';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pmem } from '../src/commands/pmem.ts';
import { DemoImages } from '../src/demo/images.ts';
import { type Captured, captured } from './captured.ts';
import { startPkslab } from './pkslab.ts';

let folder: string;
let image: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pkslab-test-'));
  image = join(folder, 'disk.img');
});

afterEach(() => rmSync(folder, { recursive: true }));

const run = (...args: string[]): Promise<Captured> => captured((io) => pmem(args, io));

describe('pkslab pmem create', () => {
  it('makes an image of zeroes', async () => {
    expect(await run('create', image, '--size', '64K')).toMatchObject({ status: 0 });
    expect(readFileSync(image).equals(Buffer.alloc(65_536))).toBe(true);
  });

  it('refuses a file that is there, and a size that is none', async () => {
    writeFileSync(image, 'mine');
    const { status, err } = await run('create', image, '--size', '64K');
    expect(status).toBe(1);
    expect(err).toContain('is there already');
    expect((await run('create', join(folder, 'x'), '--size', '5000')).err).toContain(
      'give it 8192',
    );
    expect(await run('create', image)).toMatchObject({ status: 2 });
    expect(await run('create', '--size', '64K')).toMatchObject({ status: 2 });
  });
});

describe('a name that is empty', () => {
  it.each([
    [['create', '', '--size', '1M'], 'IMAGE is empty'],
    [['info', ''], 'IMAGE is empty'],
    [['check', ''], 'IMAGE is empty'],
    [['serve', ''], 'IMAGE is empty'],
    [['serve', 'x', '--unix', ''], '--unix needs a value: --unix PATH'],
  ])('%j is a matter of usage', async (args, why) => {
    const { status, err } = await run(...args);
    expect(status).toBe(2);
    expect(err).toContain(why);
  });
});

describe('what the host refuses', () => {
  /** Root may do anything: as another user, if that is possible here. */
  async function asNobody(...args: string[]): Promise<Captured> {
    const root = process.geteuid?.() === 0;
    if (root) process.seteuid?.(65_534);
    try {
      return await run(...args);
    } finally {
      if (root) process.seteuid?.(0);
    }
  }

  afterEach(() => chmodSync(folder, 0o755));

  it('is said of an image that may not be read, and of a folder where none can be made', async () => {
    createImage(image, 65_536);
    chmodSync(image, 0o200);
    chmodSync(folder, 0o755);
    const info = await asNobody('info', image);
    expect([info.status, info.err]).toEqual([
      1,
      `pkslab pmem info: image ${image}: cannot be read (EACCES); chmod u+r it, and u+x its folder\n`,
    ]);
    expect((await asNobody('check', image)).err).toContain('may not be read; chmod u+r it');
    chmodSync(folder, 0o555);
    const create = await asNobody('create', join(folder, 'new.img'), '--size', '1M');
    expect(create.status).toBe(1);
    expect(create.err).toContain('cannot make it (EACCES); choose a folder that you may write to');
  });

  it('does not keep check from reading beside where no lock can be made, and it says so', async () => {
    createImage(image, 65_536);
    chmodSync(folder, 0o555);
    const { status, out, err } = await asNobody('check', image);
    expect([status, out]).toEqual([0, expect.stringContaining('as they should be')]);
    expect(err).toContain(`${image}: no lock can be made beside it: nothing keeps others from`);
    chmodSync(folder, 0o755);
    expect((await run('check', image)).err).not.toContain('no lock');
  });

  it('is told of a socket whose folder is missing', async () => {
    createImage(image, 65_536);
    const unix = join(folder, 'nodir', 'x');
    const { status, err } = await run('serve', image, '--unix', unix);
    expect(status).toBe(1);
    expect(err).toContain(`there is no folder ${join(folder, 'nodir')}; make it first`);
    expect(err).not.toContain('port');
    expect(existsSync(`${image}.lock`)).toBe(false);
  });
});

describe('a folder that is missing', () => {
  it.each([['create', '--size', '1M'], ['info'], ['check']])(
    'is what %s complains of',
    async (command, ...more) => {
      const nodir = join(folder, 'nodir');
      const { status, err } = await run(command, join(nodir, 'b.img'), ...more);
      expect(status).toBe(1);
      expect(err).toContain(`there is no folder ${nodir}; make it first`);
      expect(err).not.toContain('pkslab pmem create /');
    },
  );
});

describe('pkslab pmem info', () => {
  it('tells size, contents and user, as JSON too', async () => {
    await run('create', image, '--size', '64K');
    expect((await run('info', image)).out).toContain('zeroes at the start');
    const media = openFileMedia(image);
    const { out } = await run('info', image, '--json');
    media.close();
    expect(JSON.parse(out)).toMatchObject({
      size: 65_536,
      readOnly: false,
      contents: 'zeroes at the start',
      user: process.pid,
    });
  });

  it('knows an ext4 file system, and says what is no image', async () => {
    const bytes = Buffer.alloc(65_536);
    bytes.writeUInt16LE(0xef53, 1080);
    writeFileSync(image, bytes);
    expect((await run('info', image)).out).toContain('ext4');
    writeFileSync(image, 'too short');
    expect(await run('info', image)).toMatchObject({ status: 1 });
    const { status, err } = await run('info', join(folder, 'none'));
    expect(status).toBe(1);
    expect(err).toContain('pkslab pmem create');
  });
});

describe('pkslab pmem check', () => {
  it('reads all of an image through the protected path and changes nothing', async () => {
    const bytes = Buffer.alloc(3 * 2 ** 20 + 4096, 'pkslab');
    writeFileSync(image, bytes);
    const { status, out } = await run('check', image, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ok: true, pages: 769, unreadable: 0, different: 0 });
    expect(readFileSync(image).equals(bytes)).toBe(true);
    expect(existsSync(`${image}.lock`)).toBe(false);
  });

  it('says that the superblock of a volume is damaged, and leaves it so', async () => {
    const bytes = new Uint8Array(2 ** 20);
    new Volume(arrayDisk(bytes));
    writeFileSync(image, bytes);
    expect((await run('info', image)).out).toContain('contents   a volume of pkslab demo\n');
    expect((await run('check', image)).status).toBe(0);
    bytes[20] = 1;
    writeFileSync(image, bytes);
    const { status, out } = await run('check', image);
    expect(status).toBe(1);
    expect(out).toContain('as they should be');
    expect(out).toContain('a volume of pkslab demo; its superblock is damaged');
    expect((await run('info', image)).out).toContain('its superblock is damaged');
    expect(JSON.parse((await run('check', image, '--json')).out)).toMatchObject({ ok: false });
    expect(readFileSync(image).equals(bytes)).toBe(true);
  });

  it('refuses an image that somebody has open', async () => {
    await run('create', image, '--size', '64K');
    const media = openFileMedia(image);
    const { status, err } = await run('check', image);
    media.close();
    expect(status).toBe(1);
    expect(err).toContain('in use by');
  });
});

describe('an image with an info block', () => {
  const UUID = '01234567-89ab-cdef-0123-456789abcdef';
  const create = (mode: string, ...more: string[]): Promise<Captured> =>
    run('create', image, '--size', '16M', '--mode', mode, '--uuid', UUID, ...more);

  it.each(['fsdax', 'devdax'])('%s: is made, told and read again', async (mode) => {
    const { out } = await create(mode);
    expect(out).toContain(`${mode}, 14680064 bytes of data from byte 2097152, uuid ${UUID}\n`);
    expect((await run('info', image)).out).toContain(
      `namespace  ${mode}, version 1.4, uuid ${UUID}`,
    );
    const { namespace } = JSON.parse((await run('info', image, '--json')).out);
    expect(namespace).toEqual({
      mode,
      problem: null,
      infoBlock: {
        ...{ mode, uuid: UUID, parentUuid: '00000000-0000-0000-0000-000000000000', flags: 0 },
        ...{ version: '1.4', dataoff: 2 ** 21, npfns: 3584, map: 'dev', startPad: 0, endTrunc: 0 },
        ...{ align: 2 ** 21, pageSize: 4096, pageStructSize: 64 },
      },
    });
    const { status, out: checked } = await run('check', image, '--json');
    expect(status).toBe(0);
    expect(JSON.parse(checked)).toMatchObject({ ok: true, mode, pages: 3584, different: 0 });
  });

  it.each<[string, number, (bytes: Buffer) => Buffer]>([
    ['bad checksum', 1, (bytes) => bytes.fill(1, 6096, 6097)],
    ['size mismatch', 1, (bytes) => bytes.subarray(0, 12 * 2 ** 20)],
    [
      'bad offset: 0x201000 dax disabled align: 0x200000',
      1,
      (bytes) => {
        bytes.writeBigUInt64LE(0x20_1000n, 4096 + 56);
        bytes.writeBigUInt64LE(0n, 8184);
        bytes.writeBigUInt64LE(fletcher(bytes.subarray(4096, 8192)), 8184);
        return bytes;
      },
    ],
  ])('is refused with %s, by check and serve, and is as it was', async (what, status, change) => {
    await create('fsdax');
    const bytes = change(readFileSync(image));
    writeFileSync(image, bytes);
    expect((await run('info', image)).out).toContain(`namespace  damaged: info block: ${what}`);
    for (const command of ['check', 'serve']) {
      const refused = await run(command, image);
      expect(refused).toMatchObject({ status, out: '' });
      expect(refused.err).toContain(`pkslab pmem ${command}: info block: ${what}`);
    }
    expect(readFileSync(image).equals(bytes)).toBe(true);
    expect(existsSync(`${image}.lock`)).toBe(false);
  });

  it('is not made where the request does not fit: there is no file then', async () => {
    const refused = await create('devdax', '--align', '1G');
    expect(refused.status).toBe(1);
    expect(refused.err).toContain('unable to satisfy requested alignment');
    expect((await create('devdax', '--align', '8K')).err).toContain('give 4096, 2 MiB or 1 GiB');
    expect(await create('raw')).toMatchObject({ status: 2 });
    expect(existsSync(image)).toBe(false);
  });

  it('is not served where it has no block device, and is no image for the demo', async () => {
    await create('devdax', '--map', 'mem', '--align', '4K');
    expect((await run('serve', image)).err).toContain('is a devdax namespace');
    expect(() => new DemoImages(image, 2 ** 24)).toThrow('give the demo an image of its own');
    expect(existsSync(`${image}.lock`)).toBe(false);
  });
});

/** Fletcher's sum as nd_fletcher64 has it, written once more. */
function fletcher(bytes: Buffer): bigint {
  let [low, high] = [0n, 0n];
  for (let at = 0; at < bytes.length; at += 4) {
    low = (low + BigInt(bytes.readUInt32LE(at))) & 0xffff_ffffn;
    high += low;
  }
  return ((high << 32n) | low) & 0xffff_ffff_ffff_ffffn;
}

describe('pkslab pmem check, interrupted', { timeout: 60_000 }, () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s releases the lock and gives 130', async (signal) => {
    createImage(image, 16 * 2 ** 30);
    const { process: child, finished, says } = startPkslab(['pmem', 'check', image]);
    await says('MiB checked');
    expect(existsSync(`${image}.lock`)).toBe(true);
    child.kill(signal);
    const { status, out, err } = await finished;
    expect([status, out]).toEqual([130, '']);
    expect(err).not.toContain('\r');
    expect(err).toContain('interrupted: not all was checked');
    expect(existsSync(`${image}.lock`)).toBe(false);
  });
});

describe('pkslab pmem', () => {
  it('names its commands, and the nearest of them', async () => {
    expect((await run('--help')).out).toContain('serve');
    const { status, err } = await run('srve');
    expect(status).toBe(2);
    expect(err).toContain('Did you mean serve?');
    expect(await run()).toMatchObject({ status: 2 });
  });

  it('takes a port or a socket, not both', async () => {
    const { status, err } = await run('serve', image, '--port', '1', '--unix', 'x');
    expect(status).toBe(2);
    expect(err).toContain('give one of them');
  });
});
