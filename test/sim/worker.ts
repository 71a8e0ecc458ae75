/** A thread that runs worlds, one after the other. */
import { parentPort } from 'node:worker_threads';
import { runWorld, type WorldOptions } from './world.ts';

const port = parentPort;
if (!port) throw new Error('worker.ts runs as a worker thread');
port.on('message', (options: WorldOptions) => {
  runWorld(options).then(
    (result) => port.postMessage(result),
    (error: unknown) => {
      throw error;
    },
  );
});
