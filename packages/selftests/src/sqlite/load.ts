// SPDX-License-Identifier: MIT
// SQLite, as a module of WebAssembly.

import init, { type Sqlite3Static } from '@sqlite.org/sqlite-wasm';

/** Loads SQLite; what it would write to the console on each failed statement is left out. */
export async function loadSqlite(): Promise<Sqlite3Static> {
  const sqlite3 = await init();
  const quiet = { ...sqlite3.config, error: () => {}, warn: () => {} };
  Object.assign(sqlite3, { config: quiet });
  return sqlite3;
}
