/**
 * Pages of streams and of gateways. The server lists subjects in the order of writing, so each page scans all
 * states and keeps only its own items in memory.
 */
import type { StreamKey } from '../../../shared/record.ts';
import { BEFORE_ALL, type CompletenessPage, type PageQuery, pageOf, type StreamVisitor } from '../paging.ts';
import { completenessOf } from '../rules/rules.ts';
import type { GatewayContact } from '../types.ts';
import type { GatewayItem } from './log/gateway-fold.ts';
import type { States } from './log/states.ts';
import type { StreamItem } from './log/stream-fold.ts';
import { Lowest } from './lowest-keys.ts';
import type { Names } from './names.ts';

export class Listing {
  readonly #states: States;
  readonly #names: Names;

  constructor(states: States, names: Names) {
    this.#states = states;
    this.#names = names;
  }

  async page({ gateway, after, limit }: PageQuery): Promise<CompletenessPage> {
    const lowest = await this.#states.streams.sweep(
      this.#names.streams(gateway),
      () => new Lowest<StreamItem>(partsOf, partsOf(after ?? BEFORE_ALL), limit + 1),
    );
    return pageOf(
      lowest.items().map((item) => completenessOf(item, item.state)),
      limit,
    );
  }

  /**
   * Besides the visitor of `begin`, memory holds a number per stream, to skip a stream that was rewritten
   * meanwhile and is listed twice.
   */
  async survey<V extends StreamVisitor>(begin: () => V): Promise<V> {
    const { visitor } = await this.#states.streams.sweep(this.#names.streams(), () => new Once(begin()));
    return visitor;
  }

  /** At most `limit` gateways from `from` on, ascending. */
  async contacts(from: string, limit: number): Promise<GatewayContact[]> {
    const lowest = await this.#states.gateways.sweep(
      this.#names.gateways,
      // The keys after (from, '') include `from` itself.
      () => new Lowest<GatewayItem>(({ gateway }) => [gateway, 'it'], [from, ''], limit),
    );
    return lowest
      .items()
      .flatMap(({ gateway, lastWallMs }) =>
        Array.from(lastWallMs, ([source, lastWallMs]) => ({ gateway, source, lastWallMs })),
      );
  }
}

class Once<V extends StreamVisitor> {
  readonly visitor: V;
  readonly #made = new Set<number>();

  constructor(visitor: V) {
    this.visitor = visitor;
  }

  add(item: StreamItem): void {
    if (this.#made.has(item.made)) return;
    this.#made.add(item.made);
    this.visitor.add(completenessOf(item, item.state));
  }
}

function partsOf({ gateway, epoch, stream }: StreamKey): readonly string[] {
  return [gateway, epoch, stream];
}
