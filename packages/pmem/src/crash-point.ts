// SPDX-License-Identifier: MIT
// What persistent memory may hold after a power failure.

import { LINE_SIZE } from '@pkslab/x86-cpu';
import type { Media } from './media.ts';
import type { StoreLog } from './store-log.ts';

/** A log, or one that somebody made of it. */
export type StoreRecord = Pick<StoreLog, 'events' | 'before'>;

export const PERSISTENCE_DOMAINS = ['adr', 'eadr'] as const;

/** What the platform saves when the power fails: what was written back and fenced, or the caches too. */
export type PersistenceDomain = (typeof PERSISTENCE_DOMAINS)[number];

/** A line of which more than one version may be left: so many of its stores survive, in their order. */
export interface OpenLine {
  readonly line: number;
  readonly fewest: number;
  readonly most: number;
}

/** Contents of lines, by line number. */
export type CrashImage = ReadonlyMap<number, Uint8Array>;

interface LineHistory {
  /** Those that changed something, for the others leave no other image. */
  readonly stores: { readonly from: number; readonly bytes: Uint8Array }[];
  readonly content: Uint8Array;
  durable: number;
  writtenBack: number;
}

/**
 * The moment after `events` of a log: of each line a prefix of its stores is left, at least those up to its last
 * write-back that was fenced, and of a store of 8 aligned bytes all or nothing. Made by {@link crashPoint}.
 *
 * @example
 * const log = new StoreLog(kernel.machine.memory);
 * kernel.call(() => device.write(0, bytes)); // a line: 8 stores, written back and not fenced
 * const point = crashPoint(log);
 * point.open.length; // => 1
 * point.states; // => 9
 * const newest = point.image(({ most }) => most);
 * newest.get(device.physical / 64)?.join() === bytes.join(); // => true
 */
export class CrashPoint {
  readonly #before: ReadonlyMap<number, Uint8Array>;
  readonly #lines = new Map<number, LineHistory>();
  readonly #domain: PersistenceDomain;
  /** The lines of which more than one version may be left, in ascending order. */
  readonly open: readonly OpenLine[];

  constructor(log: StoreRecord, events: number, domain: PersistenceDomain) {
    this.#domain = domain;
    const all = log.events;
    this.#before = log.before;
    for (let i = 0; i < events; i++) {
      const event = all[i];
      if (event === undefined) break;
      if (event.kind === 'fence') this.#fence();
      else if (event.kind === 'store') this.#store(event.line, event);
      else {
        const history = this.#history(event.line);
        history.writtenBack = history.stores.length;
      }
    }
    this.open = this.#openLines();
  }

  /** How many images there are; beyond 2^53 only about. */
  get states(): number {
    return this.open.reduce((product, { fewest, most }) => product * (most - fewest + 1), 1);
  }

  /**
   * The image in which of each open line so many stores survive as `choose` says.
   *
   * Every line that the log ever saw is in it, so that it can be laid over the media at any time.
   */
  image(choose: (open: OpenLine) => number): CrashImage {
    const survivors = new Map<number, number>();
    for (const open of this.open) survivors.set(open.line, choose(open));
    const image = new Map<number, Uint8Array>();
    for (const [line, before] of this.#before) {
      const bytes = before.slice();
      const history = this.#lines.get(line);
      const kept = survivors.get(line) ?? history?.stores.length ?? 0;
      for (const { from, bytes: stored } of history?.stores.slice(0, kept) ?? []) {
        bytes.set(stored, from);
      }
      image.set(line, bytes);
    }
    return image;
  }

  /**
   * Calls `visit` with every image, or with the first `bound` of them.
   *
   * @returns whether these were all.
   */
  forEachImage(bound: number, visit: (image: CrashImage) => void): boolean {
    const kept = this.open.map(({ fewest }) => fewest);
    for (let visited = 0; visited < bound; visited++) {
      let at = 0;
      visit(this.image(() => kept[at++] as number));
      let line = 0;
      while (line < kept.length && kept[line] === this.open[line]?.most) {
        kept[line] = this.open[line]?.fewest as number;
        line++;
      }
      if (line === kept.length) return true;
      kept[line] = (kept[line] as number) + 1;
    }
    return false;
  }

  /**
   * Calls `visit` with `count` images and the extreme ones: every line at its oldest, every line at its newest, and
   * each line alone at the one while all others are at the other.
   *
   * @param below a random number from 0 to its argument − 1.
   * @returns how many images these were.
   */
  sampleImages(
    count: number,
    below: (limit: number) => number,
    visit: (image: CrashImage) => void,
  ): number {
    const oldest = ({ fewest }: OpenLine): number => fewest;
    const newest = ({ most }: OpenLine): number => most;
    visit(this.image(oldest));
    visit(this.image(newest));
    for (const alone of this.open) {
      visit(this.image((open) => (open === alone ? open.most : open.fewest)));
      visit(this.image((open) => (open === alone ? open.fewest : open.most)));
    }
    const any = ({ fewest, most }: OpenLine): number => fewest + below(most - fewest + 1);
    for (let i = 0; i < count; i++) {
      const kinds = [oldest, newest, any];
      visit(this.image(i % 2 === 0 ? any : (open) => (kinds[below(3)] ?? any)(open)));
    }
    return 2 + 2 * this.open.length + count;
  }

  #store(line: number, store: { readonly from: number; readonly bytes: Uint8Array }): void {
    const { stores, content } = this.#history(line);
    if (store.bytes.every((byte, i) => content[store.from + i] === byte)) return;
    content.set(store.bytes, store.from);
    stores.push(store);
  }

  #fence(): void {
    for (const history of this.#lines.values()) history.durable = history.writtenBack;
  }

  #history(line: number): LineHistory {
    let history = this.#lines.get(line);
    if (history === undefined) {
      const content = this.#before.get(line)?.slice() ?? new Uint8Array(LINE_SIZE);
      history = { stores: [], content, durable: 0, writtenBack: 0 };
      this.#lines.set(line, history);
    }
    return history;
  }

  #openLines(): OpenLine[] {
    if (this.#domain === 'eadr') return [];
    const open: OpenLine[] = [];
    for (const [line, { stores, durable }] of this.#lines) {
      if (stores.length > durable) open.push({ line, fewest: durable, most: stores.length });
    }
    return open.sort((a, b) => a.line - b.line);
  }
}

/**
 * What may be left if the power fails after so many events of a log.
 *
 * @param events how many; default all
 * @example
 * const log = new StoreLog(kernel.machine.memory);
 * kernel.call(() => device.write(0, bytes));
 * let images = 0;
 * crashPoint(log).forEachImage(1000, () => images++); // => true: these were all
 * images; // => 9
 */
export function crashPoint(
  log: StoreRecord,
  events: number = log.events.length,
  domain: PersistenceDomain = 'adr',
): CrashPoint {
  return new CrashPoint(log, events, domain);
}

/**
 * The points of a log that matter where only fenced lines are safe (ADR): before each fence, and at the end.
 *
 * From one fence to the next nothing becomes certain, so what may be left after any event is also left, among
 * others, after the last one before the fence. Where the caches are saved too, every event counts.
 *
 * @example
 * const log = new StoreLog(kernel.machine.memory);
 * kernel.call(() => device.write(0, bytes));
 * kernel.call(() => device.flush());
 * crashPointsOf(log); // => [9, 10]
 */
export function crashPointsOf(log: StoreRecord): readonly number[] {
  const points: number[] = [];
  for (const [at, event] of log.events.entries()) if (event.kind === 'fence') points.push(at);
  points.push(log.events.length);
  return points;
}

/**
 * Media as a crash left them: reads see the image over `media`; writes and flushes go nowhere near those.
 *
 * @example
 * const log = new StoreLog(kernel.machine.memory);
 * kernel.call(() => device.write(0, bytes));
 * const left = crashPoint(log).image(({ fewest }) => fewest + 1);
 * const found = new Uint8Array(64);
 * crashedMedia(media, device.physical, left).read(0, found);
 * found.findIndex((byte, i) => byte !== bytes[i]); // => 8
 */
export function crashedMedia(media: Media, physical: number, image: CrashImage): Media {
  const lines = new Map(image);
  const first = physical / LINE_SIZE;
  const each = (offset: number, length: number, work: (line: number, at: number) => void): void => {
    const last = Math.floor((offset + length - 1) / LINE_SIZE);
    for (let at = Math.floor(offset / LINE_SIZE); at <= last; at++)
      work(first + at, at * LINE_SIZE);
  };
  return {
    size: media.size,
    read: (offset, into) => {
      media.read(offset, into);
      each(offset, into.length, (line, at) => {
        const bytes = lines.get(line);
        if (bytes === undefined) return;
        const from = Math.max(at, offset);
        const to = Math.min(at + LINE_SIZE, offset + into.length);
        into.set(bytes.subarray(from - at, to - at), from - offset);
      });
    },
    write: (offset, bytes) => {
      each(offset, bytes.length, (line, at) => {
        const whole = lines.get(line) ?? readLine(media, at);
        const from = Math.max(at, offset);
        const to = Math.min(at + LINE_SIZE, offset + bytes.length);
        whole.set(bytes.subarray(from - offset, to - offset), from - at);
        lines.set(line, whole);
      });
    },
    flush: () => {},
    close: () => {},
  };
}

function readLine(media: Media, offset: number): Uint8Array {
  const bytes = new Uint8Array(LINE_SIZE);
  media.read(offset, bytes);
  return bytes;
}
