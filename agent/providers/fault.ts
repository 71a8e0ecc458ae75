/**
 * The reason why a provider accepts nothing, as one word for status, explain and metric labels. Pure (I11).
 */
import type { Outcome, Phase, RetryableCause } from './publisher.ts';

export type ProviderFault =
  /** The provider refused a signature for its time. */
  | 'clock'
  /** The provider's name does not resolve. */
  | 'dns'
  | 'refused'
  /** No connection could be opened. */
  | 'unreachable'
  /** The TLS handshake fails, or gets no answer. */
  | 'tls'
  /** The credentials are refused or unreadable, or the service that issues them does not answer. */
  | 'credentials'
  /** The provider asks to slow down. */
  | 'throttled'
  /** A quota of the account, of a minute, a day or a month, is used up. */
  | 'quota'
  /** The provider reports an error of its own. */
  | 'server'
  /** The provider does not answer. */
  | 'silent'
  /** Connections end during publishes. */
  | 'lost'
  /** The topic or hub does not exist, or it refuses every envelope. */
  | 'configuration'
  /** The number of tries under way is at its limit. */
  | 'busy';

const BY_CAUSE: Readonly<Record<Exclude<RetryableCause, 'timeout'>, ProviderFault>> = {
  'connection-refused': 'refused',
  'connection-reset': 'lost',
  'not-connected': 'unreachable',
  dns: 'dns',
  tls: 'tls',
  'server-error': 'server',
  unavailable: 'server',
  'clock-skew': 'clock',
};

const BY_PHASE: Readonly<Record<Phase, ProviderFault>> = {
  queue: 'busy',
  credentials: 'credentials',
  dns: 'dns',
  connect: 'unreachable',
  tls: 'tls',
  login: 'silent',
  request: 'silent',
  answer: 'silent',
};

/** Null where the outcome says nothing against the provider. */
export function faultOf(outcome: Outcome): ProviderFault | null {
  switch (outcome.kind) {
    case 'accepted':
    case 'cancelled':
      return null;
    case 'throttled':
      return outcome.cause === 'quota' ? 'quota' : 'throttled';
    case 'rejected':
      if (outcome.scope === 'envelope') return null;
      return outcome.cause === 'unauthorized' ? 'credentials' : 'configuration';
    case 'unknown':
      return outcome.cause === 'connection-lost' ? 'lost' : 'silent';
    case 'retryable': {
      if (outcome.phase === 'queue') return null;
      if (outcome.cause === 'timeout') return BY_PHASE[outcome.phase ?? 'connect'];
      return BY_CAUSE[outcome.cause];
    }
  }
}
