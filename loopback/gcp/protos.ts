/**
 * The Pub/Sub service definitions, from the .proto files in the SDK, so that the loopback uses the SDK's
 * exact protocol.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { load } from '@grpc/proto-loader';

export interface PubSubServices {
  publisher: ServiceDefinition;
  subscriber: ServiceDefinition;
  iam: ServiceDefinition;
}

export async function loadPubSubServices(): Promise<PubSubServices> {
  const pubsubMain = createRequire(import.meta.url).resolve('@google-cloud/pubsub');
  // google-gax does not export its package.json, so its folder is found by its main file, like the SDK itself
  // resolves it.
  const gaxMain = createRequire(pubsubMain).resolve('google-gax');
  const definitions = await load(['google/pubsub/v1/pubsub.proto', 'google/iam/v1/iam_policy.proto'], {
    includeDirs: [pubsubMain, gaxMain].map((main) => join(dirname(main), '..', 'protos')),
    longs: Number,
    enums: String,
    defaults: true,
  });
  const service = (name: string): ServiceDefinition => {
    const definition = definitions[name];
    if (!definition || 'format' in definition) throw new Error(`the SDK ships no service ${name}`);
    return definition;
  };
  return {
    publisher: service('google.pubsub.v1.Publisher'),
    subscriber: service('google.pubsub.v1.Subscriber'),
    iam: service('google.iam.v1.IAMPolicy'),
  };
}
