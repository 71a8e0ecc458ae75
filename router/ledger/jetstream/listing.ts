/**
 * Pages of streams and of gateways. The server gives what is under a subject in the order it was written, so
 * that every page goes over all the state that it is a page of, and holds no more of it than the page.
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
   * Besides what `begin` makes, a number is held for each stream: one that is written anew meanwhile comes
   * twice.
   */
  async survey<V extends StreamVisitor>(begin: () => V): Promise<V> {
    const { visitor } = await this.#states.streams.sweep(this.#names.streams(), () => new Once(begin()));
    return visitor;
  }

  /** Of at most `limit` gateways from `from` on, ascending. */
  async contacts(from: string, limit: number): Promise<GatewayContact[]> {
    const lowest = await this.#states.gateways.sweep(
      this.#names.gateways,
      // What is behind (from, '') begins with `from` itself.
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
