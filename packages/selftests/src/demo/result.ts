// SPDX-License-Identifier: MIT
// What a run of the demo found, and when that is a success.

import { type StrayContext, type StrayCounts, sumStrays } from '../stray/kinds.ts';
import type { LandedStray } from '../stray/ledger.ts';
import type { ImageDifference } from './write-log.ts';

/** One run: with protection or without. */
export interface PhaseResult {
  readonly protected: boolean;
  /** The key of the device's memory; 0 where nothing protects it. */
  readonly pkey: number;
  readonly strays: Readonly<Record<StrayContext, Readonly<StrayCounts>>>;
  /** Stray stores that changed memory outside the canary. */
  readonly landed: readonly LandedStray[];
  /** What the driver itself was told, in its cells. */
  readonly told: { readonly issued: number; readonly refused: number; readonly done: number };
  readonly transactions: number;
  readonly failedTransactions: number;
  /** The first error of a failed transaction. */
  readonly firstFailure: string | null;
  /** `PRAGMA integrity_check` of the reopened database: `ok`, or its first line. */
  readonly integrityCheck: string;
  /** Every row is there and is what it should be. */
  readonly contentOk: boolean;
  /** Reads during the run that gave something else than was written. */
  readonly wrongReads: number;
  /** Bytes that were flushed and yet are not on the media, outside the canary. */
  readonly unflushed: number;
  readonly canary: CanaryEffect;
  /** The oops of the sample, as dmesg shows it; null where none was provoked, empty where none came. */
  readonly oops: readonly string[] | null;
  /** Rows in the database, and bytes that SQLite wrote. */
  readonly rows: number;
  readonly bytesWritten: number;
  /** It was stopped before its last transaction. */
  readonly interrupted: boolean;
  /** The kernel could not go on: why. */
  readonly kernelFailure: string | null;
}

/** What the stores within a window did to the canary extent. */
export interface CanaryEffect {
  readonly offset: number;
  readonly size: number;
  /** Bytes that are not as they were before the run. */
  readonly changed: number;
}

/** What is wrong with a protected run; empty if all is well. */
export function complaints(result: PhaseResult, image: ImageDifference): string[] {
  const strays = sumStrays(result.strays);
  const { told } = result;
  const list: string[] = [];
  const say = (bad: boolean, text: string): void => {
    if (bad) list.push(text);
  };
  say(result.kernelFailure !== null, `the kernel stopped: ${result.kernelFailure}`);
  say(strays.reached > 0, `${strays.reached} stray writes changed data`);
  say(image.different > 0, `${image.different} bytes of the image are not what SQLite wrote`);
  say(result.unflushed > 0, `${result.unflushed} flushed bytes were not on the media`);
  say(
    result.failedTransactions > 0,
    `${result.failedTransactions} transactions failed: ${result.firstFailure}`,
  );
  say(result.integrityCheck !== 'ok', `integrity_check: ${result.integrityCheck}`);
  say(!result.contentOk, 'rows are missing or wrong');
  say(result.wrongReads > 0, `${result.wrongReads} rows did not read back as written`);
  say(result.oops?.length === 0, 'a plain stray store by a kernel thread was not stopped');
  const threads = strays.attempted - result.strays.sameTask.attempted;
  say(
    told.refused !== strays.stopped - result.strays.sameTask.stopped || told.issued !== threads,
    `the driver was told ${told.refused} refusals of ${told.issued}, seen were ${strays.stopped} of ${threads}`,
  );
  return list;
}
