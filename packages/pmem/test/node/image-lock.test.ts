// SPDX-License-Identifier: MIT
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createImage, MediaError, openFileMedia } from '../../src/node/index.ts';
import { thisProcess } from '../../src/node/process-identity.ts';
import { deadPid, Holder, temporaryFolder } from './processes.ts';

let folder: ReturnType<typeof temporaryFolder>;
let image: string;
let lock: string;

beforeEach(() => {
  folder = temporaryFolder();
  image = join(folder.path, 'disk.img');
  lock = `${image}.lock`;
  createImage(image, 8192);
});

afterEach(() => folder.remove());

function refusal(path: string = image): MediaError | null {
  try {
    openFileMedia(path).close();
    return null;
  } catch (error) {
    if (error instanceof MediaError) return error;
    throw error;
  }
}

describe('IMAGE.lock', () => {
  it('says who has the image, and goes when it is closed', () => {
    const media = openFileMedia(image);
    expect(JSON.parse(readFileSync(lock, 'utf8'))).toMatchObject(thisProcess());
    media.close();
    media.close();
    expect(readdirSync(folder.path)).toEqual(['disk.img']);
  });

  it('keeps out this process too, by every name of the file', () => {
    const media = openFileMedia(image);
    const link = join(folder.path, 'link.img');
    symlinkSync(image, link);
    expect(refusal()?.message).toContain('in use by this process');
    expect(refusal(link)?.code).toBe('inUse');
    media.close();
    expect(refusal(link)).toBeNull();
  });

  it('keeps out another process until that closes or is killed', async () => {
    const holder = await new Holder(image).ready();
    expect(await holder.ask('go')).toBe('open');
    expect(refusal()?.message).toContain(`in use by process ${holder.pid} `);
    expect(await holder.ask('close')).toBe('closed');
    expect(refusal()).toBeNull();
    expect(await holder.ask('go')).toBe('open');
    await holder.end('SIGKILL');
    expect(existsSync(lock)).toBe(true);
    expect(refusal()).toBeNull();
    expect(readdirSync(folder.path)).toEqual(['disk.img']);
  });

  it('is taken over from a process whose number another one has now', () => {
    const { pid, startTime } = thisProcess();
    if (startTime === null) return; // no /proc: a number is all there is
    writeFileSync(lock, JSON.stringify({ pid, startTime: startTime - 1, id: 'older' }));
    expect(refusal()).toBeNull();
  });

  it('is taken over together with the claim of a process that died taking it over', () => {
    const stale = { pid: deadPid(), startTime: 1 };
    writeFileSync(lock, JSON.stringify({ ...stale, id: 'first' }));
    writeFileSync(`${lock}.first`, JSON.stringify({ ...stale, id: 'second' }));
    expect(refusal()).toBeNull();
    expect(readdirSync(folder.path)).toEqual(['disk.img']);
  });

  it('is left alone while a running process is taking it over', () => {
    writeFileSync(lock, JSON.stringify({ pid: deadPid(), startTime: 1, id: 'first' }));
    writeFileSync(`${lock}.first`, JSON.stringify({ ...thisProcess(), id: 'second' }));
    expect(refusal()?.code).toBe('inUse');
  });

  it.each([
    '',
    'no JSON',
    '{}',
    '{"pid":-1,"startTime":1,"id":"x"}',
    '{"pid":1,"startTime":1,"id":"../x"}',
  ])('that is not ours (%j) keeps everybody out, and the message says what to do', (content) => {
    writeFileSync(lock, content);
    expect(refusal()?.message).toContain('delete that file if no process uses the image');
  });
});

describe('processes that find the same stale lock at once', () => {
  it('let one of them in, 60 times over', { timeout: 60_000 }, async () => {
    const holders = await Promise.all([1, 2, 3, 4].map(() => new Holder(image).ready()));
    const stale = { pid: deadPid(), startTime: 1 };
    for (let round = 0; round < 60; round++) {
      writeFileSync(lock, JSON.stringify({ ...stale, id: `round-${round}` }));
      for (const holder of holders) holder.tell('go');
      const answers = await Promise.all(holders.map((holder) => holder.answer()));
      expect(answers.filter((answer) => answer === 'open')).toHaveLength(1);
      expect(answers.filter((answer) => answer.startsWith('inUse'))).toHaveLength(3);
      await Promise.all(holders.map((holder) => holder.ask('close')));
      expect(readdirSync(folder.path)).toEqual(['disk.img']);
    }
    await Promise.all(holders.map((holder) => holder.end()));
  });
});
