/** `config check --connect` of a router.yaml: its sources, carriers of receipts, ledger and feeds. */
import type { RouterConfig } from '../../router/config.ts';
import { feedConnectCheck } from '../../router/feeds/open.ts';
import { ledgerConnectCheck } from '../../router/ledger/connect-check.ts';
import { carrierConnectCheck } from '../../router/receipts/connect-check.ts';
import { sourceConnectCheck } from '../../router/sources/open.ts';
import type { CheckedPart, ConnectDeps } from '../../shared/connect-check/phases.ts';

/** In the order of the file's reference. */
export function routerParts(config: RouterConfig, deps: ConnectDeps): CheckedPart[] {
  const part = (entry: string, { type }: { type: string }, check: CheckedPart['check']): CheckedPart => ({
    entry,
    type,
    check,
  });
  return [
    ...config.sources.map((source) =>
      part(`sources.${source.name}`, source, () => sourceConnectCheck(source, deps)),
    ),
    ...config.receipts.through.map((carrier) =>
      part(`receipts.through.${carrier.name}`, carrier, () => carrierConnectCheck(carrier, deps)),
    ),
    part('ledger', config.ledger, () => ledgerConnectCheck(config, deps)),
    ...config.feeds.map((feed) => part(`feeds.${feed.name}`, feed, () => feedConnectCheck(feed, deps))),
  ];
}
