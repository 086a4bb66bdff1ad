// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  NbdCommand,
  NbdCommandFlag,
  NbdOption,
  NbdReply,
  OPTION_MAX,
  PAYLOAD_MAX,
} from '../../src/nbd/constants.ts';
import { pattern } from '../support.ts';
import {
  ascii,
  clientFlags,
  concat,
  exportQuery,
  hello,
  metaQuery,
  option,
  optionReplies,
  request,
} from './messages.ts';
import { SessionRig } from './session-rig.ts';

const { read, write, flush, trim, cache, writeZeroes, blockStatus } = NbdCommand;

function handshake(): SessionRig {
  const rig = new SessionRig();
  rig.say(clientFlags());
  return rig;
}

describe('handshake', () => {
  it('greets with the fixed newstyle', () => {
    expect(new SessionRig().output()).toEqual(
      concat(ascii('NBDMAGICIHAVEOPT'), Uint8Array.of(0, 3)),
    );
  });

  it('hangs up on flags that it does not know', () => {
    const rig = new SessionRig();
    rig.say(clientFlags(1 << 5));
    expect(rig.progress).toBe('closed');
  });

  it.each(['', 'disk'])('gives size and flags of the export %j', (name) => {
    const [info, ack] = optionReplies(handshake().say(option(NbdOption.go, exportQuery(name))));
    expect(info?.type).toBe(NbdReply.info);
    expect([...(info?.data ?? [])]).toEqual([0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0x05, 0x6d]);
    expect(ack?.type).toBe(NbdReply.ack);
  });

  it('tells the block sizes and the description if asked', () => {
    const out = handshake().say(option(NbdOption.info, exportQuery('', [1, 2, 3])));
    expect(optionReplies(out).map(({ data }) => data[1])).toEqual([0, 1, 2, 3, undefined]);
  });

  it('refuses an export of another name, and goes on', () => {
    const rig = handshake();
    const [refusal] = optionReplies(rig.say(option(NbdOption.go, exportQuery('other'))));
    expect(refusal?.type).toBe(NbdReply.unknown);
    expect(optionReplies(rig.say(option(NbdOption.go, exportQuery('')))).at(-1)?.type).toBe(1);
  });

  it('answers EXPORT_NAME with 124 zeroes, or none if the client said so', () => {
    const lengths = [1, 3].map((flags) => {
      const rig = new SessionRig();
      rig.say(clientFlags(flags));
      return rig.say(option(NbdOption.exportName, ascii('disk'))).length;
    });
    expect(lengths).toEqual([134, 10]);
  });

  it('lists the export', () => {
    const [server, ack] = optionReplies(handshake().say(option(NbdOption.list)));
    expect(new TextDecoder().decode(server?.data.subarray(4))).toBe('disk');
    expect(ack?.type).toBe(NbdReply.ack);
  });

  it('refuses options that it does not know, that contradict themselves or that are too long', () => {
    const type = (bytes: Uint8Array): number | undefined =>
      optionReplies(handshake().say(bytes))[0]?.type;
    expect(type(option(5))).toBe(NbdReply.unsupported);
    expect(type(option(NbdOption.go, Uint8Array.of(0, 0, 0, 9, 1, 2)))).toBe(NbdReply.invalid);
    expect(type(option(NbdOption.list, Uint8Array.of(1)))).toBe(NbdReply.invalid);
    expect(type(option(99, new Uint8Array(OPTION_MAX + 1)))).toBe(NbdReply.tooBig);
  });

  it('agrees on base:allocation only after structured replies', () => {
    const rig = handshake();
    const set = option(NbdOption.setMetaContext, metaQuery('', ['x:y', 'base:allocation']));
    expect(optionReplies(rig.say(set))[0]?.type).toBe(NbdReply.invalid);
    rig.say(option(NbdOption.structuredReply));
    expect(optionReplies(rig.say(set)).map(({ type }) => type)).toEqual([4, 1]);
    const list = option(NbdOption.listMetaContext, metaQuery('', []));
    expect(optionReplies(rig.say(list)).map(({ type }) => type)).toEqual([4, 1]);
  });

  it('acknowledges ABORT and hangs up', () => {
    const rig = handshake();
    expect(optionReplies(rig.say(option(NbdOption.abort)))[0]?.type).toBe(NbdReply.ack);
    expect(rig.progress).toBe('closed');
  });

  it('is the same byte by byte', () => {
    const bytes = hello({ structured: true, blockStatus: true });
    const whole = new SessionRig().say(bytes);
    const parts = Array.from(bytes, (byte) => Uint8Array.of(byte));
    expect(new SessionRig().say(...parts)).toEqual(whole);
  });
});

describe.each([false, true])('requests, structured replies %j', (structured) => {
  const rig = (): SessionRig => new SessionRig().greet({ structured });

  it('reads back what was written, at any offset', () => {
    const disk = rig();
    const payload = pattern(10_001);
    expect(disk.ask({ command: write, offset: 4093, payload, cookie: 77 })).toMatchObject({
      cookie: 77,
      error: 0,
    });
    expect(disk.ask({ command: read, offset: 4093, length: 10_001 }).data).toEqual(payload);
  });

  it('reads more than fits into its buffers', () => {
    const disk = new SessionRig(PAYLOAD_MAX).greet({ structured });
    disk.target.bytes.set(pattern(500_000), 30 * 2 ** 20);
    const reply = disk.ask({ command: read, length: PAYLOAD_MAX });
    expect(Buffer.compare(reply.data, disk.target.bytes)).toBe(0);
  });

  it('refuses what is out of range, and takes the next request', () => {
    const disk = rig();
    const end = disk.target.size;
    expect(disk.ask({ command: read, offset: end - 10, length: 11 }).error).toBe(22);
    expect(disk.ask({ command: write, offset: end, payload: pattern(100_000) }).error).toBe(28);
    expect(disk.ask({ command: writeZeroes, offset: end, length: 1 }).error).toBe(28);
    expect(disk.ask({ command: trim, offset: 2 ** 60, length: 1 }).error).toBe(22);
    expect(disk.ask({ command: cache, offset: 0, length: end + 1 }).error).toBe(22);
    expect(disk.ask({ command: read, length: PAYLOAD_MAX + 1 }).error).toBe(22);
    expect(disk.ask({ command: 99 }).error).toBe(22);
    expect(disk.ask({ command: read, flags: 1 << 9, length: 1 }).error).toBe(22);
    expect(disk.ask({ command: read, offset: end - 1, length: 1 }).error).toBe(0);
    expect(disk.target.writes).toEqual([]);
  });

  it('skips the payload of a write that is too large', () => {
    const disk = rig();
    const head = { command: write, length: PAYLOAD_MAX + 512 };
    let out = disk.say(request(head));
    for (let left = head.length; left > 0; left -= 65_536) {
      out = disk.say(new Uint8Array(Math.min(left, 65_536)));
    }
    expect(out[7]).toBe(22);
    expect(disk.session.pendingBytes).toBe(0);
  });

  it('makes EIO of a failure in the middle', () => {
    const disk = rig();
    disk.target.bad = 5000;
    expect(disk.ask({ command: read, offset: 4096, length: 4096 }).error).toBe(5);
    expect(disk.ask({ command: write, payload: pattern(20_000) }).error).toBe(5);
    expect(disk.ask({ command: read, length: 4096 }).error).toBe(0);
  });

  it('zeroes a range, and takes trim and cache as advice', () => {
    const disk = rig();
    disk.target.bytes.fill(1);
    expect(disk.ask({ command: writeZeroes, offset: 100, length: 700_000 }).error).toBe(0);
    expect(disk.target.bytes.indexOf(0)).toBe(100);
    expect(disk.target.bytes.indexOf(1, 100)).toBe(700_100);
    expect(disk.ask({ command: trim, length: 4096 }).error).toBe(0);
    expect(disk.ask({ command: cache, length: 4096 }).error).toBe(0);
  });

  it('flushes once for FLUSH and for everything with FUA', () => {
    const disk = rig();
    const { fua } = NbdCommandFlag;
    disk.ask({ command: flush });
    disk.ask({ command: trim, flags: fua, length: 512 });
    disk.ask({ command: writeZeroes, flags: fua, length: 512 });
    expect(disk.target.flushes).toBe(3);
    disk.ask({ command: write, flags: fua, payload: pattern(9000), offset: 10 });
    expect(disk.target.writes.filter(([, , durable]) => durable)).toHaveLength(1);
    expect(disk.target.writes.at(-1)?.[2]).toBe(true);
  });

  it('refuses every change of a read-only export', () => {
    const disk = rig();
    disk.target.readOnly = true;
    expect(disk.ask({ command: write, payload: pattern(4) }).error).toBe(1);
    for (const command of [trim, writeZeroes]) {
      expect(disk.ask({ command, length: 4 }).error).toBe(1);
    }
    expect(disk.ask({ command: flush }).error).toBe(0);
  });

  it('hangs up on DISC and on what is no request', () => {
    for (const bytes of [request({ command: NbdCommand.disconnect }), new Uint8Array(28)]) {
      const disk = rig();
      disk.say(bytes);
      expect(disk.progress).toBe('closed');
      expect(disk.say(request({ command: read, length: 1 }))).toHaveLength(0);
    }
  });
});

describe('block status', () => {
  const rig = (): SessionRig => new SessionRig().greet({ structured: true, blockStatus: true });

  it('tells zeroes from data', () => {
    const disk = rig();
    disk.target.bytes[200_000] = 1;
    const ask = { command: blockStatus, length: disk.target.size };
    expect(disk.ask(ask).extents).toEqual([
      [196_608, 2],
      [65_536, 0],
      [786_432, 2],
    ]);
    expect(disk.ask({ ...ask, flags: NbdCommandFlag.reqOne }).extents).toEqual([[196_608, 2]]);
    expect(disk.ask({ command: blockStatus, offset: 200_000, length: 1 }).extents).toEqual([
      [1, 0],
    ]);
    expect(disk.ask({ command: blockStatus, offset: 200_001, length: 3 }).extents).toEqual([
      [3, 2],
    ]);
  });

  it('is refused where it was not agreed on', () => {
    const disk = new SessionRig().greet({ structured: true });
    expect(disk.ask({ command: blockStatus, length: 512 }).error).toBe(22);
  });
});

describe('back-pressure', () => {
  it('stops working for a client that takes nothing, and goes on when it does', () => {
    const disk = new SessionRig().greet();
    disk.slow = true;
    const requests = Array.from({ length: 200 }, (_, cookie) =>
      request({ command: read, cookie, length: 65_536 }),
    );
    const out = [disk.say(concat(...requests))];
    expect(disk.progress).toBe('output');
    expect(disk.unsent).toBe(3);
    for (let i = 0; i < 1000 && disk.unsent > 0; i++) {
      disk.take();
      out.push(disk.say());
      expect(disk.unsent).toBeLessThanOrEqual(3);
    }
    expect(concat(...out)).toHaveLength(200 * (65_536 + 16));
    expect(disk.progress).toBe('input');
  });

  it('lets others have their turn between long requests', () => {
    const disk = new SessionRig(PAYLOAD_MAX).greet();
    const zeroes = request({ command: writeZeroes, length: PAYLOAD_MAX });
    expect(disk.session.receive(zeroes)).toBe('later');
  });
});

describe('writes in parts', () => {
  it('never hands on part of a device page', () => {
    const disk = new SessionRig().greet();
    const payload = pattern(40_000);
    const bytes = request({ command: write, offset: 1000, payload });
    const parts: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += 1777) parts.push(bytes.slice(at, at + 1777));
    disk.say(...parts);
    expect(disk.target.bytes.subarray(1000, 41_000)).toEqual(payload);
    for (const [offset, length] of disk.target.writes.slice(1)) {
      expect(offset % 4096).toBe(0);
      expect(length % 4096 === 0 || offset + length === 41_000).toBe(true);
    }
  });
});
