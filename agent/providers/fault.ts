/** Why a provider takes nothing, in a word: for status, explain and the labels of metrics. Pure (I11). */
import type { Outcome, Phase, RetryableCause } from './publisher.ts';

export type ProviderFault =
  /** The provider refused our signature for the time in it. */
  | 'clock'
  /** Its name is not resolved. */
  | 'dns'
  | 'refused'
  /** No connection is made. */
  | 'unreachable'
  /** The handshake fails, or is not answered. */
  | 'tls'
  /** They are refused, cannot be read, or their service does not answer. */
  | 'credentials'
  /** It asks to slow down. */
  | 'throttled'
  /** It answers that the fault is its own. */
  | 'server'
  /** It answers nothing. */
  | 'silent'
  /** Connections end under publishes. */
  | 'lost'
  /** There is no such topic or hub, or it takes no envelope of ours. */
  | 'configuration'
  /** As many tries as may be are under way. */
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
      return 'throttled';
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
