// SPDX-License-Identifier: MIT
// An NBD server on a TCP port or a unix socket.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { resolve } from 'node:path';
import type { NbdExport } from '../nbd/export.ts';
import { BlockPool } from '../nbd/reply-output.ts';
import { NbdConnection } from './nbd-connection.ts';
import { clearSocketPath, serveError } from './serve-error.ts';

export interface NbdServerOptions {
  /** Port on the loopback interface; 0, the default, takes a free one. */
  readonly port?: number;
  /** Interface to listen on; default 127.0.0.1. There is no authentication: whoever reaches it may write. */
  readonly host?: string;
  /** Path of a unix socket, instead of a port. */
  readonly unix?: string;
  /** Connections at a time; further ones are hung up on. Default 64. */
  readonly clientsMax?: number;
  /** Milliseconds that a handshake may take. Default 10 000. */
  readonly handshakeMsMax?: number;
  /** Milliseconds that a client has to take its last replies when it is hung up on. Default 2000. */
  readonly lingerMsMax?: number;
  /** Called before what a client sent is worked on. */
  readonly beforeBatch?: () => void;
}

const LINGER_MS_MAX = 2000;

/**
 * A server that listens; made by {@link serveNbd}.
 *
 * @example
 * const server = await serveNbd(exported, { unix: 'disk.sock' });
 * server.clients; // => 0
 * await server.close();
 */
export class NbdServer {
  /** Connections since the start. */
  connections = 0;
  readonly #server: Server;
  readonly #blocks = new BlockPool();
  readonly #open = new Set<NbdConnection>();
  readonly #unix: string | undefined;
  readonly #lingerMsMax: number;

  constructor(server: Server, { unix, lingerMsMax = LINGER_MS_MAX }: NbdServerOptions) {
    this.#server = server;
    this.#unix = unix;
    this.#lingerMsMax = lingerMsMax;
  }

  /** Clients that are connected now. */
  get clients(): number {
    return this.#open.size;
  }

  /** The NBD URI, as clients take it. */
  get uri(): string {
    if (this.#unix !== undefined) return `nbd+unix:///?socket=${encodeURI(resolve(this.#unix))}`;
    const { address, family, port } = this.#server.address() as AddressInfo;
    return `nbd://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** The TCP port; 0 on a unix socket. */
  get port(): number {
    return this.#unix === undefined ? (this.#server.address() as AddressInfo).port : 0;
  }

  /** Takes over a connection. */
  accept(socket: Socket, target: NbdExport, options: NbdServerOptions): void {
    const { clientsMax = 64, beforeBatch = () => {} } = options;
    const { handshakeMsMax = 10_000, lingerMsMax = LINGER_MS_MAX } = options;
    this.connections++;
    if (this.#open.size >= clientsMax) {
      socket.destroy();
      return;
    }
    const limits = { handshakeMsMax, lingerMsMax };
    const shared = { target, blocks: this.#blocks, beforeBatch, limits };
    const connection = new NbdConnection(socket, shared);
    this.#open.add(connection);
    socket.on('close', () => this.#open.delete(connection));
    connection.start();
  }

  /** Takes no new clients, finishes the requests that have arrived, hangs up, and removes the socket. */
  async close(): Promise<void> {
    const closed = new Promise<void>((done) => this.#server.close(() => done()));
    for (const connection of this.#open) connection.finish();
    const linger = setTimeout(() => {
      for (const connection of this.#open) connection.destroy();
    }, this.#lingerMsMax);
    await closed;
    clearTimeout(linger);
  }
}

/**
 * Serves an export until closed: on the loopback interface, unless told otherwise.
 *
 * @throws {ServeError} if the address cannot be listened on.
 * @example
 * const server = await serveNbd(new PmemExport({ kernel, device }));
 * server.uri.startsWith('nbd://127.0.0.1:'); // => true
 * await server.close();
 */
export async function serveNbd(
  target: NbdExport,
  options: NbdServerOptions = {},
): Promise<NbdServer> {
  const { port = 0, host = '127.0.0.1', unix } = options;
  if (unix !== undefined) await clearSocketPath(unix);
  const server = createServer({ noDelay: true, allowHalfOpen: true });
  const nbd = new NbdServer(server, options);
  server.on('connection', (socket) => nbd.accept(socket, target, options));
  const where = unix ?? `${host}:${port}`;
  await new Promise<void>((done, reject) => {
    server.once('error', (error) => reject(serveError(where, error, unix)));
    server.listen(unix === undefined ? { port, host } : { path: unix }, done);
  });
  // From here on an error is one of a single connection that could not be accepted.
  server.on('error', () => {});
  return nbd;
}
