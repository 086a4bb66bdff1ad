// SPDX-License-Identifier: MIT
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KernelPanic } from '@pkslab/kernel';
import { EndlessRetry } from '@pkslab/x86-cpu';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NbdCommand, NbdCommandFlag } from '../../src/nbd/constants.ts';
import {
  type NbdServer,
  type NbdServerOptions,
  PmemExport,
  serveNbd,
} from '../../src/node/index.ts';
import { serveError } from '../../src/node/serve-error.ts';
import { concat, hello, request } from '../nbd/messages.ts';
import { MIB, onMedia, pattern, type Rig, rig } from '../support.ts';
import { NbdClient } from './nbd-client.ts';
import { temporaryFolder, withoutPrivileges } from './processes.ts';

const { read, write, flush, writeZeroes } = NbdCommand;

let stack: Rig;
let exported: PmemExport;
let server: NbdServer;
const failures: unknown[] = [];

beforeEach(() => {
  failures.length = 0;
  stack = rig({}, { onMediaError: (error) => void failures.push(error) });
});

afterEach(() => server.close());

async function serve(options: NbdServerOptions = {}): Promise<void> {
  const { kernel, device } = stack;
  const onFailure = (error: unknown): void => void failures.push(error);
  exported = new PmemExport({ kernel, device, onFailure });
  server = await serveNbd(exported, options);
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await sleep(5);
  expect(condition()).toBe(true);
}

describe('a pmem device over NBD', () => {
  it('listens on the loopback interface, on a free port', async () => {
    await serve();
    expect(server.uri).toMatch(/^nbd:\/\/127\.0\.0\.1:\d+$/);
  });

  it('keeps what was written with FUA, through bio and PKRS', async () => {
    await serve();
    const client = new NbdClient(server.port);
    const flags = NbdCommandFlag.fua;
    const payload = pattern(8192);
    expect((await client.ask({ command: write, offset: 4096, payload, flags }))?.error).toBe(0);
    expect(onMedia(stack.media, 4096, 8192)).toEqual(payload);
    expect(stack.media.counters.flushes).toBe(1);
    const { kernel, device } = stack;
    expect(kernel.call(() => kernel.machine.tryStore32(device.address, 0))).toBe(true);
    await client.end();
  });

  it('keeps what was flushed, at any offset', async () => {
    await serve();
    const client = new NbdClient(server.port);
    await client.ask({ command: write, offset: 333, payload: pattern(5000) });
    expect(onMedia(stack.media, 333, 5000)).toEqual(new Uint8Array(5000));
    await client.ask({ command: flush });
    expect(onMedia(stack.media, 333, 5000)).toEqual(pattern(5000));
    await client.ask({ command: writeZeroes, offset: 400, length: 1000 });
    const back = await client.ask({ command: read, offset: 333, length: 5000 });
    expect(back?.data).toEqual(pattern(5000).fill(0, 67, 1067));
    await client.end();
  });

  it('serves many clients at once, who see each other', async () => {
    await serve();
    const clients = Array.from({ length: 8 }, () => new NbdClient(server.port));
    await Promise.all(
      clients.flatMap((client, i) =>
        Array.from({ length: 20 }, (_, k) =>
          client.ask({
            command: write,
            offset: (i * 20 + k) * 4096,
            payload: pattern(4096, i + k),
          }),
        ),
      ),
    );
    const last = await clients[0]?.ask({ command: read, offset: 159 * 4096, length: 4096 });
    expect(last?.data).toEqual(pattern(4096, 26));
    expect(server.clients).toBe(8);
    await Promise.all(clients.map((client) => client.end()));
    await until(() => server.clients === 0);
  });

  it('makes EIO of bad blocks and of media that fail', async () => {
    await serve();
    const client = new NbdClient(server.port);
    stack.kernel.call(() => stack.device.addBadBlocks(8, 1));
    expect((await client.ask({ command: read, offset: 4096, length: 512 }))?.error).toBe(5);
    stack.media.flush = () => {
      throw new Error('the disk is gone');
    };
    expect((await client.ask({ command: flush }))?.error).toBe(5);
    expect(String(failures[0])).toContain('the disk is gone');
    expect((await client.ask({ command: read, length: 512 }))?.error).toBe(0);
    await client.end();
  });
});

describe('a machine that has stopped', () => {
  const fault = { vector: 14, errorCode: 0x23, address: -4096, offset: 0 };

  it.each([
    ['in a fault that is retried for ever', new EndlessRetry(fault)],
    ['in a panic', new KernelPanic('Fatal exception in interrupt')],
  ])('%s is asked for nothing more: every request is EIO', (_how, error) => {
    let calls = 0;
    stack.device.submitBio = () => {
      calls++;
      throw error;
    };
    const it = new PmemExport({ ...stack, onFailure: (failure) => failures.push(failure) });
    expect(it.stopped).toBe(false);
    for (let i = 0; i < 3; i++) expect(it.flush()).toBe(5);
    expect([it.stopped, calls, failures]).toEqual([true, 1, [error]]);
    expect(it.counters).toMatchObject({ calls: 3, errors: 3 });
  });
});

describe('clients that misbehave', () => {
  it('may go in the middle of anything', async () => {
    await serve();
    const { port } = server;
    const bytes = concat(hello(), request({ command: write, payload: pattern(50_000) }));
    for (let cut = 0; cut < bytes.length; cut = cut * 2 + 1) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(bytes.subarray(0, cut));
      if (cut % 3 === 0) socket.destroySoon();
      else socket.end();
      socket.resume();
    }
    await until(() => server.connections > 15 && server.clients === 0);
  });

  it('is not read from while it takes no replies, and then gets them all', async () => {
    await serve();
    const socket = connect(server.port, '127.0.0.1');
    const ask = request({ command: read, length: MIB });
    socket.write(concat(hello(), ...Array.from({ length: 100 }, () => ask)));
    const other = new NbdClient(server.port);
    await sleep(100);
    const served = exported.counters.bytesRead;
    expect(served).toBeLessThan(40 * MIB);
    expect((await other.ask({ command: read, length: 512 }))?.error).toBe(0);
    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    await until(() => received === 70 + 100 * (MIB + 16));
    socket.destroy();
    await other.end();
  });

  it('does not keep its connection by not taking the last replies', async () => {
    await serve({ lingerMsMax: 50 });
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    const reads = Array.from({ length: 4 }, () => request({ command: read, length: 131_072 }));
    const bye = request({ command: NbdCommand.disconnect });
    socket.pause();
    socket.write(concat(hello(), ...reads, bye));
    await until(() => exported.counters.bytesRead === 4 * 131_072 && server.clients === 0);
    socket.destroy();
  });

  it('is hung up on if it never ends the handshake, or if there are too many', async () => {
    await serve({ handshakeMsMax: 30, clientsMax: 1 });
    const silent = connect(server.port, '127.0.0.1');
    silent.on('error', () => {});
    await until(() => server.clients === 1);
    await new NbdClient(server.port).closed;
    silent.resume();
    await until(() => server.clients === 0);
  });
});

describe('addresses', () => {
  it('serves a unix socket and removes it', async () => {
    const folder = temporaryFolder();
    const unix = join(folder.path, 's');
    await serve({ unix });
    const client = new NbdClient(unix);
    expect((await client.ask({ command: read, length: 1 }))?.error).toBe(0);
    await expect(serveNbd(exported, { unix })).rejects.toThrow('another server has it');
    await client.end();
    await server.close();
    expect(existsSync(unix)).toBe(false);
    writeFileSync(unix, 'mine');
    await expect(serveNbd(exported, { unix })).rejects.toThrow('there is a file of that name');
    folder.remove();
  });

  it('says of a socket whether its folder is missing or may not be written to', async () => {
    const folder = temporaryFolder();
    chmodSync(folder.path, 0o755);
    const none = join(folder.path, 'none');
    const inNone = serveNbd(exported, { unix: join(none, 's') });
    await expect(inNone).rejects.toThrow(`there is no folder ${none}; make it first`);
    writeFileSync(none, 'a file');
    await expect(serveNbd(exported, { unix: join(none, 's') })).rejects.toThrow('no folder');
    chmodSync(folder.path, 0o555);
    await withoutPrivileges(async () => {
      const refused = serveNbd(exported, { unix: join(folder.path, 's') });
      await expect(refused).rejects.toMatchObject({
        errno: 13,
        message: expect.stringContaining(`choose a folder other than ${folder.path}`),
      });
    });
    folder.remove();
  });

  it.each([
    ['EACCES', '/x/s', undefined, 'choose a port above 1023'],
    ['EACCES', '/no such folder/s', '/no such folder/s', 'there is no folder /no such folder'],
    ['ENOENT', '/no such folder/s', '/no such folder/s', 'there is no folder /no such folder'],
    ['EACCES', '/s', '/s', 'choose a folder other than /,'],
    ['EROFS', '/s', '/s', 'choose a folder other than /,'],
    ['EADDRNOTAVAIL', '9.9.9.9:1', undefined, 'no such address'],
  ])('makes of %s on %s what can be done about it', (code, where, unix, what) => {
    const cause = Object.assign(new Error(code), { code });
    expect(serveError(where, cause, unix).message).toContain(what);
  });

  it('says what to do about a port in use and a name that is too long', async () => {
    await serve();
    await expect(serveNbd(exported, { port: server.port })).rejects.toMatchObject({ errno: 16 });
    await expect(serveNbd(exported, { unix: `/tmp/${'x'.repeat(120)}` })).rejects.toThrow('longer');
  });

  it('answers what has arrived before it closes', async () => {
    await serve();
    const client = new NbdClient(server.port);
    await client.ask({ command: read, length: 1 });
    const asked = Array.from({ length: 50 }, (_, i) =>
      client.ask({ command: write, offset: i * 4096, payload: pattern(4096) }),
    );
    await until(() => exported.counters.bytesWritten > 0);
    await server.close();
    const replies = await Promise.all(asked);
    expect(replies.filter((reply) => reply?.error === 0).length).toBeGreaterThan(0);
  });
});
