/** For a sink that keeps no position, and so does not look at it. */
import type { Move } from '../../../router/feeds/sink.ts';

const START = { offset: 0, progress: new Uint8Array() };

export const ANY_MOVE: Move = { from: START, after: () => START };
