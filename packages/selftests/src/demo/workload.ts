// SPDX-License-Identifier: MIT
// Transactions whose outcome is known: every row's contents follow from its id and version.

import type { Sqlite3Static } from '@sqlite.org/sqlite-wasm';
import { mix, Prng } from '../prng.ts';

type Database = InstanceType<Sqlite3Static['oo1']['DB']>;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS rows(id INTEGER PRIMARY KEY, version INTEGER NOT NULL, payload BLOB NOT NULL);
  CREATE INDEX IF NOT EXISTS rows_by_version ON rows(version);
`;
const PAYLOAD_SEED = 0x706b_736c;
const PAYLOAD_MIN = 64;
const PAYLOAD_RANGE = 900;
/** One transaction in so many is rolled back. */
const ROLLBACK_EVERY = 16;

/** Contents of a row. */
function payloadOf(id: number, version: number): Uint8Array {
  const seed = mix(PAYLOAD_SEED ^ id, version);
  const bytes = new Uint8Array(PAYLOAD_MIN + (seed % PAYLOAD_RANGE));
  for (let i = 0; i < bytes.length; i++) bytes[i] = mix(seed, i >>> 2) >>> ((i & 3) * 8);
  return bytes;
}

/** The rows that there should be: version by id. */
export type Model = Map<number, number>;

/** Reads every row; null where one is not what its id and version say. */
function readRows(db: Database): Model | null {
  const model: Model = new Map();
  const statement = db.prepare('SELECT id, version, payload FROM rows ORDER BY id');
  try {
    while (statement.step()) {
      const [id, version, payload] = statement.get([]) as unknown[];
      if (typeof id !== 'number' || typeof version !== 'number') return null;
      if (!(payload instanceof Uint8Array) || !sameBytes(payload, payloadOf(id, version))) {
        return null;
      }
      model.set(id, version);
    }
    return model;
  } finally {
    statement.finalize();
  }
}

/** Whether the database holds exactly the rows of a model. */
export function holdsRows(db: Database, model: Model): boolean {
  const rows = readRows(db);
  if (rows === null || rows.size !== model.size) return false;
  for (const [id, version] of model) if (rows.get(id) !== version) return false;
  return true;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Makes random changes to the rows, a transaction at a time, and keeps the model of what they are. */
export class Workload {
  readonly model: Model;
  readonly #db: Database;
  readonly #random: Prng;
  readonly #rowsMax: number;
  readonly #ids: number[];
  #nextId: number;
  /** Rows that did not read back as written. */
  wrongReads = 0;

  /** @param rowsMax from so many rows on, as many are deleted as inserted */
  constructor(db: Database, seed: number, rowsMax: number) {
    this.#db = db;
    this.#random = new Prng(seed);
    this.#rowsMax = rowsMax;
    db.exec('PRAGMA page_size=4096; PRAGMA journal_mode=PERSIST; PRAGMA cache_size=4');
    db.exec('PRAGMA temp_store=MEMORY');
    db.exec(SCHEMA);
    const rows = readRows(db);
    if (rows === null) throw new Error('the database holds rows that are not as they were written');
    this.model = rows;
    this.#ids = [...rows.keys()];
    this.#nextId = Math.max(0, ...this.#ids) + 1;
  }

  /** One transaction. @throws whatever SQLite says; the model is then as before it. */
  transaction(): void {
    const changes: Model = new Map();
    const deleted = new Set<number>();
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const count = 1 + this.#random.below(3);
      for (let i = 0; i < count; i++) this.#change(changes, deleted);
      this.#check(changes, deleted);
      if (this.#random.below(ROLLBACK_EVERY) === 0) {
        this.#db.exec('ROLLBACK');
        return;
      }
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#rollback();
      throw error;
    }
    this.#apply(changes, deleted);
  }

  /** An error may have ended the transaction already. */
  #rollback(): void {
    try {
      this.#db.exec('ROLLBACK');
    } catch {
      return;
    }
  }

  #change(changes: Model, deleted: Set<number>): void {
    const full = this.#ids.length >= this.#rowsMax;
    const choice = this.#random.below(10);
    if (this.#ids.length === 0 || (choice < 4 && !full)) {
      const id = this.#nextId++;
      this.#run('INSERT INTO rows VALUES (?1, ?2, ?3)', [id, 1, payloadOf(id, 1)]);
      changes.set(id, 1);
      return;
    }
    const id = this.#anyId();
    if (deleted.has(id)) return;
    if (choice === 9 || (full && choice < 4)) {
      this.#run('DELETE FROM rows WHERE id = ?1', [id]);
      deleted.add(id);
      changes.delete(id);
      return;
    }
    const version = (changes.get(id) ?? this.model.get(id) ?? 0) + 1;
    const payload = payloadOf(id, version);
    this.#run('UPDATE rows SET version = ?2, payload = ?3 WHERE id = ?1', [id, version, payload]);
    changes.set(id, version);
  }

  /** Reads a row that this transaction left alone. */
  #check(changes: Model, deleted: Set<number>): void {
    if (this.#ids.length === 0) return;
    const id = this.#anyId();
    if (deleted.has(id) || changes.has(id)) return;
    const payload = this.#db.selectValue('SELECT payload FROM rows WHERE id = ?1', [id]);
    const expected = payloadOf(id, this.model.get(id) as number);
    if (!(payload instanceof Uint8Array) || !sameBytes(payload, expected)) this.wrongReads++;
  }

  #apply(changes: Model, deleted: Set<number>): void {
    for (const [id, version] of changes) {
      if (!this.model.has(id)) this.#ids.push(id);
      this.model.set(id, version);
    }
    for (const id of deleted) {
      if (!this.model.delete(id)) continue;
      this.#ids.splice(this.#ids.indexOf(id), 1);
    }
  }

  #anyId(): number {
    return this.#ids[this.#random.below(this.#ids.length)] as number;
  }

  #run(sql: string, bind: (number | Uint8Array)[]): void {
    this.#db.exec({ sql, bind });
  }
}
