/** The store's methods that the forwarder needs; the simulation provides a model of them. */
import type { Store } from '../store/store.ts';

export type Buffer = Pick<
  Store,
  | 'epoch'
  | 'epochs'
  | 'initialState'
  | 'onCommit'
  | 'onGaps'
  | 'onReopen'
  | 'read'
  | 'accept'
  | 'acceptGap'
  | 'acceptSeal'
  | 'giveUp'
>;
