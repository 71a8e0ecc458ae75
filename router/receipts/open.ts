/** The pushers of `receipts.through`, one for each cloud. */
import type { Clock } from '../../shared/clock.ts';
import type { Entropy } from '../../shared/entropy.ts';
import type { Logger } from '../../shared/log.ts';
import { SparseLog } from '../../shared/sparse-log.ts';
import type { Carrier } from './carrier.ts';
import type { ReceiptForm } from './form.ts';
import type { ThroughConfig } from './options.ts';
import { TopicCarrier } from './pubsub.ts';
import { ReceiptPusher } from './pusher.ts';
import type { Receipts } from './receipts.ts';
import { ShadowCarrier } from './shadow.ts';
import { TwinCarrier } from './twin.ts';

interface Deps {
  receipts: Receipts;
  form: ReceiptForm;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export function openPushers(through: readonly ThroughConfig[], deps: Deps): ReceiptPusher[] {
  const sparseLog = new SparseLog(deps);
  return through.map((config) => {
    const { name, interval: intervalMs } = config;
    return new ReceiptPusher({ name, intervalMs, carrier: carrier(config, deps), sparseLog, ...deps });
  });
}

function carrier(config: ThroughConfig, deps: Deps): Carrier {
  switch (config.type) {
    case 'aws':
      return new ShadowCarrier(config, deps);
    case 'azure':
      return new TwinCarrier(config, deps);
    case 'gcp':
      return new TopicCarrier(config, deps);
  }
}
