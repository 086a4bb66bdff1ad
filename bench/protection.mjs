// What protection costs a request of 4 KiB: NBD session, bio, driver and, on one side, PKRS; without sockets.

import { dax } from '@pkslab/dax';
import { boot } from '@pkslab/kernel';
import { kmap } from '@pkslab/kmap';
import { memremap } from '@pkslab/memremap';
import { pksCore } from '@pkslab/pks-core';
import { memoryMedia, NbdSession, pmem } from '@pkslab/pmem';
import { PmemExport } from '@pkslab/pmem/node';
import { row, timePair } from './measure.mjs';

const SIZE = 64 * 1024 * 1024;
const PAGE = 4096;
/** Short rounds, and many: what a busy host does to one of them then counts for little. */
const REQUESTS = 2000;
const ROUNDS = 301;

/** Rows on the cost of protection. */
export function protectionBenchmarks() {
  return ['read', 'write'].map(protectedRequests);
}

/** 4 KiB requests through session, bio, driver and, on one side, PKRS. */
function protectedRequests(operation) {
  const [on, off] = [true, false].map((pks) => requests(operation, pks));
  return row(
    `4 KiB NBD ${operation}, protection on / off`,
    timePair(on, off, REQUESTS, ROUNDS),
    1.05,
  );
}

function requests(operation, pks) {
  const kernel = boot({ modules: [pksCore, memremap, kmap, dax, pmem], features: { pks } });
  const media = memoryMedia(SIZE);
  const device = kernel.call(() => kernel.module(pmem).attachDisk({ media }));
  const session = new NbdSession(new PmemExport({ kernel, device }), {
    send: (_bytes, sent) => sent(),
    resume: () => {},
  });
  session.pump();
  session.receive(hello());
  const head = Buffer.alloc(operation === 'write' ? 28 + PAGE : 28);
  head.writeUInt32BE(0x25609513);
  head.writeUInt16BE(operation === 'write' ? 1 : 0, 6);
  head.writeUInt32BE(PAGE, 24);
  const pages = SIZE / PAGE;
  let x = 2463534242;
  return (count) => {
    for (let i = 0; i < count; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      head.writeUInt32BE(((x >>> 0) % pages) * PAGE, 20);
      session.receive(head);
    }
  };
}

/** The client's flags and NBD_OPT_GO for the default export. */
function hello() {
  const bytes = Buffer.alloc(4 + 16 + 6);
  bytes.writeUInt32BE(3);
  bytes.write('IHAVEOPT', 4);
  bytes.writeUInt32BE(7, 12);
  bytes.writeUInt32BE(6, 16);
  return bytes;
}
