/**
 * `config check --connect` of a feed to NATS. The server speaks first, in plaintext, and asks for TLS then:
 * so TLS is part of the login.
 */
import type { Clock } from '../../../shared/clock.ts';
import { type ConnectCheck, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { wayPhases } from '../../../shared/connect-check/way.ts';
import { type NatsFeedOptions, NatsSink } from './nats.ts';

const PORT = 4222;

export function natsConnectCheck(name: string, options: NatsFeedOptions, clock: Clock): ConnectCheck {
  const way = wayPhases({
    targets: options.servers.map(serverOf),
    option: 'servers',
    tls: null,
    network: null,
    clock,
  });
  const sink = new NatsSink(`${name}-check`, options, clock);
  const isStored = options.delivery === 'jetstream';
  return {
    phases: [
      ...way.phases,
      {
        name: 'login',
        option: 'servers',
        run: async () => {
          await sink.check();
          return isStored ? null : 'only a record would show whether it may publish';
        },
      },
      ...(isStored
        ? [{ name: 'write' as const, option: 'subject', run: () => askStream(sink, options) }]
        : []),
    ],
    close: async () => {
      way.close();
      await sink.close();
    },
  };
}

/** A stream that takes the subjects: placeholders stand for any token. */
async function askStream(sink: NatsSink, { subject }: NatsFeedOptions): Promise<string> {
  const filter = subject.replaceAll(/[^.]*\{topic\}.*$/g, '>').replaceAll(/[^.]*\{\w+\}[^.]*/g, '*');
  const stream = await sink.streamFor(filter);
  if (stream === 'unknown') return 'no right to ask which stream takes the subject';
  if (stream !== null) return `the stream ${stream} takes ${filter}`;
  const fix = `make a stream with this subject: nats stream add --subjects '${filter}'`;
  throw new PhaseFailure(`no JetStream stream takes ${filter}`, { fix });
}

export function serverOf(server: string): { host: string; port: number } {
  const { hostname, port } = new URL(server);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) || PORT };
}
