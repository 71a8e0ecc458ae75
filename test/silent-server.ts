/** A server that accepts connections and sends nothing, until the test gives it an answer. */
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface SilentServer {
  port: number;
  /** Taken so far. */
  connections(): number;
  /** From now on every HTTP request is answered with this JSON; requests that wait are cut. */
  answer(body: object): void;
}

export async function silentServer(t: Test): Promise<SilentServer> {
  let body: object | null = null;
  let connections = 0;
  const http: Server = createServer((_request, response) => response.end(JSON.stringify(body)));
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    connections += 1;
    if (body !== null) {
      http.emit('connection', socket);
      return;
    }
    sockets.add(socket);
    // A client that gives up: nothing is owed to it.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    http.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    connections: () => connections,
    answer: (next) => {
      body = next;
      for (const socket of sockets) socket.destroy();
    },
  };
}
