/** Plain aedes on port argv[2]: the baseline for the durable intake. */
import { createServer } from 'node:net';
import { Aedes } from 'aedes';

const aedes = await Aedes.createBroker();
createServer({ noDelay: true }, aedes.handle).listen(Number(process.argv[2]), '127.0.0.1');
