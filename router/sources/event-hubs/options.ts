/** The options of a `sources[]` entry of type `azure`. */
import { z } from 'zod';
import { networkAccess } from '../../../shared/network/options.ts';

const CONNECTION_STRING = /Endpoint=sb:\/\/.+;SharedAccessKey=.+/i;

/** The schema without the fields that all entries share. */
export const eventHubsOptions = z
  .object({
    event_hub: z
      .string()
      .min(1)
      .optional()
      .describe('Name of the event hub, when the connection string has no EntityPath.'),
    consumer_group: z
      .string()
      .min(1)
      .default('$Default')
      .describe('A consumer group that no other application uses.'),
    ca_file: z
      .string()
      .min(1)
      .optional()
      .describe('PEM file of the only certificate authorities to trust, instead of those in Node.js.'),
    websocket: z
      .boolean()
      .default(false)
      .describe('AMQP over WebSocket on port 443 in place of 5671; also used with every proxy.'),
    ...networkAccess,
    credentials: z
      .strictObject({
        connection_string: z
          .string()
          .regex(CONNECTION_STRING, 'expected Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…')
          .describe('The Event Hub-compatible endpoint of the hub, as the portal shows it.'),
      })
      .describe('Credentials of the Event Hubs-compatible endpoint.'),
  })
  // A malformed connection string, or an unset variable, already has its own issue.
  .refine((options) => !isWhole(options) || hubOf(options) !== null, {
    path: ['event_hub'],
    message: 'name the event hub here or as EntityPath in the connection string, and the same in both',
  });

export type EventHubsOptions = z.infer<typeof eventHubsOptions>;

function isWhole({ credentials }: { credentials: { connection_string: string } }): boolean {
  const text = credentials.connection_string;
  return CONNECTION_STRING.test(text) && !text.includes('${');
}

/** The event hub's name; null when it is missing, or when the two places name different hubs. */
export function hubOf(options: {
  event_hub?: string | undefined;
  credentials: { connection_string: string };
}): string | null {
  const path = /(?:^|;)EntityPath=([^;]+)/i.exec(options.credentials.connection_string)?.[1];
  const hub = options.event_hub ?? path;
  return hub === undefined || (path !== undefined && path !== hub) ? null : hub;
}
