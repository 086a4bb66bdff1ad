// SPDX-License-Identifier: MIT
import { describe, expect, it } from 'vitest';
import {
  type CrashImage,
  crashedMedia,
  crashPoint,
  crashPointsOf,
  type Media,
  type PersistenceDomain,
  StoreLog,
} from '../src/index.ts';
import { onMedia, pattern, type Rig, rig } from './support.ts';

const RECORD = 0;
const COMMIT = 64;
const COMMITTED = 0xcc;

/** Runs a guest, and calls `visit` with every image that a power failure anywhere in it could leave. */
function crashes(
  it: Rig,
  guest: () => void,
  visit: (media: Media) => void,
  domain: PersistenceDomain = 'adr',
): number {
  const log = new StoreLog(it.kernel.machine.memory);
  it.kernel.call(guest);
  log.detach();
  let images = 0;
  const look = (image: CrashImage) => {
    images++;
    visit(crashedMedia(it.media, it.device.physical, image));
  };
  for (let events = 0; events <= log.events.length; events++) {
    expect(crashPoint(log, events, domain).forEachImage(10_000, look)).toBe(true);
  }
  return images;
}

type Step = 'record' | 'commit' | 'flush';
const PROTOCOL: readonly Step[] = ['record', 'flush', 'commit', 'flush'];

/** A record of 64 bytes and a line that says that it is there; what recovery may find of them. */
function commitProtocol(it: Rig, steps = PROTOCOL, domain: PersistenceDomain = 'adr'): Set<string> {
  const found = new Set<string>();
  const guest = () => {
    for (const step of steps) {
      if (step === 'record') it.device.write(RECORD, pattern(64));
      else if (step === 'commit') it.device.write(COMMIT, Uint8Array.of(COMMITTED));
      else it.device.flush();
    }
  };
  const visit = (media: Media) => {
    if (onMedia(media, COMMIT, 1)[0] !== COMMITTED) found.add('before');
    else
      found.add(
        onMedia(media, RECORD, 64).every((b, i) => b === pattern(64)[i]) ? 'after' : 'torn',
      );
  };
  const images = crashes(it, guest, visit, domain);
  process.stdout.write(
    `${steps.join(', ')} (${domain.toUpperCase()}): ${images} images: ${[...found].join(', ')}\n`,
  );
  return found;
}

describe.each(['adr', 'eadr'] as const)('a two-line commit protocol (%s)', (domain) => {
  it('recovers to before or after, wherever the power fails', () => {
    expect(commitProtocol(rig(), PROTOCOL, domain)).toEqual(new Set(['before', 'after']));
  });

  it('would be torn with the lines the wrong way round', () => {
    const steps: Step[] = ['commit', 'flush', 'record', 'flush'];
    expect(commitProtocol(rig(), steps, domain)).toContain('torn');
  });
});

describe('a two-line commit protocol on fenced lines', () => {
  it('would be torn with the flush between the lines removed', () => {
    const steps: Step[] = ['record', 'commit', 'flush'];
    expect(commitProtocol(rig(), steps)).toEqual(new Set(['before', 'after', 'torn']));
    expect(commitProtocol(rig(), steps, 'eadr')).toEqual(new Set(['before', 'after']));
  });

  it('would be torn if the flush did not fence (flush-without-fence)', () => {
    expect(commitProtocol(rig({ sabotages: ['flush-without-fence'] }))).toContain('torn');
  });

  it('would be torn if lines were only said to be written back (write-back-lost)', () => {
    expect(commitProtocol(rig({ sabotages: ['write-back-lost'] }))).toContain('torn');
  });
});

describe('a two-line commit protocol by non-temporal stores', () => {
  const commit = (isFenced: boolean): Set<string> => {
    const it = rig({ sabotages: ['pmem-flag-not-set'] });
    const { machine } = it.kernel;
    const found = new Set<string>();
    const guest = (): void => {
      machine.copyInNonTemporal(it.device.address + RECORD, pattern(64), 0, 64);
      if (isFenced) machine.sfence();
      machine.movnti32(it.device.address + COMMIT, COMMITTED);
      machine.sfence();
    };
    crashes(it, guest, (media) => {
      const record = onMedia(media, RECORD, 64);
      if (onMedia(media, COMMIT, 1)[0] !== COMMITTED) found.add('before');
      else found.add(record.every((b, i) => b === pattern(64)[i]) ? 'after' : 'torn');
    });
    // Nothing was written back by another instruction, and yet it is durable.
    expect(onMedia(it.media, RECORD, 64)).toEqual(pattern(64));
    return found;
  };

  it('recovers to before or after with a fence between the lines', () => {
    expect(commit(true)).toEqual(new Set(['before', 'after']));
  });

  it('would be torn without it', () => {
    expect(commit(false)).toEqual(new Set(['before', 'after', 'torn']));
  });
});

describe('a crash point', () => {
  it('leaves a prefix of the stores of a line, each of 8 bytes whole or not at all', () => {
    const it = rig();
    const seen = new Set<number>();
    crashes(
      it,
      () => it.device.write(0, pattern(24, 1)),
      (media) => {
        const bytes = onMedia(media, 0, 24);
        let kept = 0;
        while (kept < 24 && bytes[kept] === pattern(24, 1)[kept]) kept++;
        expect(bytes.subarray(kept).every((byte) => byte === 0)).toBe(true);
        seen.add(kept);
      },
    );
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 8, 16, 24]);
  });

  it('is certain of what was written back and fenced, and of nothing later', () => {
    const it = rig();
    const log = new StoreLog(it.kernel.machine.memory);
    it.kernel.call(() => {
      it.device.write(0, pattern(8, 1));
      it.device.flush();
      it.device.write(0, pattern(8, 2));
    });
    const point = crashPoint(log);
    expect(point.open).toEqual([{ line: it.device.physical / 64, fewest: 1, most: 2 }]);
    expect(point.states).toBe(2);
    const lowest = point.image(({ fewest }) => fewest).get(it.device.physical / 64);
    expect(lowest?.subarray(0, 8)).toEqual(pattern(8, 1));
  });

  it('leaves everything that was stored where the caches are saved too (eADR)', () => {
    const it = rig();
    const log = new StoreLog(it.kernel.machine.memory);
    it.kernel.call(() => it.device.write(0, pattern(64)));
    const point = crashPoint(log, log.events.length, 'eadr');
    expect(point.states).toBe(1);
    expect(point.image(() => 0).get(it.device.physical / 64)).toEqual(pattern(64));
  });

  it('counts stores that change nothing for nothing', () => {
    const it = rig();
    it.kernel.call(() => it.device.write(0, pattern(64)));
    const log = new StoreLog(it.kernel.machine.memory);
    const next = pattern(64);
    next[20] = 0;
    it.kernel.call(() => it.device.write(0, next));
    const point = crashPoint(log);
    expect(log.events).toHaveLength(9);
    expect(point.states).toBe(2);
  });

  it('is the sum of all points since the fence before, where only fenced lines are safe', () => {
    const it = rig();
    const log = new StoreLog(it.kernel.machine.memory);
    it.kernel.call(() => {
      for (const [at, length] of [
        [0, 24],
        [64, 16],
        [8, 8],
      ] as const) {
        it.device.write(at, pattern(length, at + 3));
        if (at === 64) it.device.flush();
      }
    });
    const imagesAt = (events: number): string[] => {
      const images: string[] = [];
      crashPoint(log, events).forEachImage(1000, (image) => {
        images.push([...image.values()].join(';'));
      });
      return images;
    };
    const points = crashPointsOf(log);
    const all = new Set(log.events.flatMap((_, at) => imagesAt(at + 1)).concat(imagesAt(0)));
    expect(new Set(points.flatMap(imagesAt))).toEqual(all);
    expect(points).toHaveLength(2);
  });

  it('gives the extreme images besides the ones by chance', () => {
    const it = rig();
    const log = new StoreLog(it.kernel.machine.memory);
    it.kernel.call(() => it.device.write(0, pattern(4096)));
    const point = crashPoint(log);
    const stored: number[] = [];
    const visit = (image: CrashImage): void => {
      stored.push(
        [...image.values()].reduce((sum, bytes) => sum + bytes.filter((b) => b > 0).length, 0),
      );
    };
    const full = pattern(4096).filter((b) => b > 0).length;
    let x = 1;
    const below = (limit: number): number => {
      x = (x * 75 + 74) % 65_537;
      return x % limit;
    };
    expect(point.sampleImages(10, below, visit)).toBe(2 + 2 * 64 + 10);
    expect(stored.slice(0, 2)).toEqual([0, full]);
    expect(stored).toHaveLength(140);
    expect(Math.min(...stored.slice(1))).toBeGreaterThan(0);
  });

  it('says so when there are more images than it was to visit', () => {
    const it = rig();
    const log = new StoreLog(it.kernel.machine.memory);
    it.kernel.call(() => it.device.write(0, pattern(4096)));
    const point = crashPoint(log);
    expect(point.states / 9 ** 64).toBeCloseTo(1);
    let visited = 0;
    expect(point.forEachImage(100, () => visited++)).toBe(false);
    expect(visited).toBe(100);
  });
});

describe('crashed media', () => {
  it('can be attached, written and read, and leave the media under them alone', () => {
    const it = rig();
    const log = new StoreLog(it.kernel.machine.memory);
    it.kernel.call(() => {
      it.device.write(0, pattern(200));
      it.device.flush();
    });
    log.detach();
    const image = crashPoint(log).image(({ most }) => most);
    const media = crashedMedia(it.media, it.device.physical, image);
    const next = rig({}, { media });
    const back = new Uint8Array(200);
    next.kernel.call(() => {
      next.device.read(0, back);
      next.device.write(100, pattern(50, 9));
      next.device.detach();
    });
    expect(back).toEqual(pattern(200));
    expect(onMedia(media, 100, 50)).toEqual(pattern(50, 9));
    expect(onMedia(it.media, 0, 200)).toEqual(pattern(200));
  });
});
