/** What the forwarder needs of the store; in simulation, of a model of it. */
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
