/**
 * `config check --connect` of a webhook: OPTIONS, which changes nothing at the receiver (RFC 9110, 9.2.1).
 * Any answer below 500 shows a receiver; whether it takes records shows only a record.
 */
import type { Clock } from '../../../shared/clock.ts';
import { type ConnectCheck, PhaseFailure } from '../../../shared/connect-check/phases.ts';
import { wayPhases } from '../../../shared/connect-check/way.ts';
import { HttpPost } from './http-post.ts';
import type { WebhookFeedOptions } from './webhook.ts';

const EMPTY = Buffer.alloc(0);

export function webhookConnectCheck(options: WebhookFeedOptions, clock: Clock): ConnectCheck {
  const { url, ca, timeout } = options;
  const { hostname, port, protocol } = new URL(url);
  const isSecure = protocol === 'https:';
  const way = wayPhases({
    targets: [{ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) || (isSecure ? 443 : 80) }],
    option: 'url',
    tls: isSecure ? { option: 'ca', read: async () => ({ ca }) } : null,
    network: { ...options, isSecure },
    clock,
  });
  const post = new HttpPost({ url, ca: ca ?? null, timeoutMs: timeout, network: options, clock });
  return {
    phases: [
      ...way.phases,
      {
        name: 'write',
        option: 'url',
        run: async () => {
          const { status } = await post.send({}, EMPTY, 'OPTIONS');
          if (status >= 502 && status <= 504) {
            const fix = 'the front door answers, and the receiver behind it does not';
            throw new PhaseFailure(`HTTP ${status}`, { fix });
          }
          return `HTTP ${status} to OPTIONS; only a record would show whether it is taken`;
        },
      },
    ],
    close: async () => {
      way.close();
      post.close();
    },
  };
}
