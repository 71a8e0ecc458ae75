/** The common part of `config check --connect` of entries that use Pub/Sub. */
import type { Clock } from '../clock.ts';
import { PhaseFailure } from '../connect-check/phases.ts';
import { wayPhases } from '../connect-check/way.ts';
import { errorText } from '../log.ts';
import type { GcpAccess } from './access-options.ts';
import { placeOf } from './connection.ts';
import { trustedRoots } from './credentials.ts';

/** google.rpc.Code */
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const UNAUTHENTICATED = 16;

export function pubSubWay(options: GcpAccess, clock: Clock): ReturnType<typeof wayPhases> {
  const { host, port, insecure, option } = placeOf(options);
  return wayPhases({
    targets: [{ host, port }],
    option,
    tls: insecure
      ? null
      : { option: 'ca_file', read: async () => ({ ca: (await trustedRoots(options)) ?? undefined }) },
    network: { proxy: options.proxy, isSecure: !insecure },
    clock,
  });
}

/** With the option that a status is about; `resource` is the option that names the topic or subscription. */
export function gcpFailure(error: unknown, resource: 'subscription' | 'topic'): Error {
  const text = errorText(error);
  switch (Reflect.get(Object(error), 'code')) {
    case UNAUTHENTICATED:
      return new PhaseFailure(text, {
        option: 'credentials',
        fix: 'check the key, its account and the clock',
      });
    case NOT_FOUND:
      return new PhaseFailure(text, { option: resource, fix: `check project and ${resource}` });
    case PERMISSION_DENIED: {
      const role = resource === 'topic' ? 'roles/pubsub.publisher' : 'roles/pubsub.subscriber';
      return new PhaseFailure(text, {
        option: 'credentials',
        fix: `give the account ${role} on the ${resource}`,
      });
    }
    default:
      return error instanceof Error ? error : new Error(text);
  }
}
