/**
 * The ingest endpoint: AWS IoT Core's data plane over HTTPS. Publish (`POST /topics/{topic}`) and device
 * shadows (`/things/{thing}/shadow`), SigV4, the limits, and the faults of the provider itself.
 */
import type { Server } from 'node:https';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import type { Service } from '../../shared/service.ts';
import type { KeyAndCertificate } from '../ca.ts';
import type { CloudMeter } from '../cloud.ts';
import type { Fault } from '../faults.ts';
import type { Overload, Treatment } from '../overload.ts';
import type { PermanentRefusal } from '../permanent-refusal.ts';
import { type AwsAnswer, type AwsRequest, close, createAwsServer, listen } from './http.ts';
import type { PublishedMessage, TopicRule } from './rule.ts';
import { type ShadowAnswer, ShadowStore } from './shadow.ts';
import { refuseSignature, type Signer } from './sigv4.ts';

export type IngestMeter = Omit<CloudMeter, 'delivered' | 'settled' | 'unsettled' | 'throttled'>;

interface IotDataPlaneOptions {
  rule: TopicRule;
  signer: Signer;
  tls: KeyAndCertificate;
  clock: Clock;
  /** The active fault. */
  fault: () => Fault | null;
  overload: Overload;
  refusal: PermanentRefusal;
}

/** Payload of one publish ("AWS IoT Core message broker and protocol limits and quotas"). */
const PAYLOAD_BYTES_MAX = 131_072;
/**
 * A billed message is 5 KB of topic, payload and, over HTTP, user properties ("AWS IoT Core pricing,
 * additional details").
 */
const UNIT_BYTES = 5 * 1024;

/** The JSON in `x-amz-mqtt5-user-properties`, which is base64. */
const userPropertiesHeader = z.array(z.record(z.string(), z.string()));

export class IotDataPlane implements Service {
  readonly #rule: TopicRule;
  readonly #signer: Signer;
  readonly #clock: Clock;
  readonly #fault: () => Fault | null;
  readonly #overload: Overload;
  readonly #refusal: PermanentRefusal;
  readonly #shadows: ShadowStore;
  readonly #server: Server;
  readonly #meter: IngestMeter = { accepted: 0, units: 0, bytes: 0, requests: 0, perStream: {} };
  #port = 0;

  constructor(options: IotDataPlaneOptions) {
    this.#rule = options.rule;
    this.#signer = options.signer;
    this.#clock = options.clock;
    this.#fault = options.fault;
    this.#overload = options.overload;
    this.#refusal = options.refusal;
    this.#shadows = new ShadowStore(options.clock);
    this.#server = createAwsServer(options.tls, options.clock, (request) => this.#answer(request));
  }

  get port(): number {
    return this.#port;
  }

  meter(): IngestMeter {
    return { ...this.#meter, perStream: { ...this.#meter.perStream } };
  }

  async start(): Promise<void> {
    this.#port = await listen(this.#server, 0);
  }

  stop(): Promise<void> {
    return close(this.#server);
  }

  async #answer(request: AwsRequest): Promise<AwsAnswer> {
    const treatment = this.#overload.next();
    const answer = this.#faultAnswer(treatment) ?? this.#signatureRefusal(request) ?? this.#route(request);
    if (answer !== 'cut') this.#meter.requests += 1;
    if (treatment === 'late') await this.#overload.wait();
    return answer;
  }

  #faultAnswer(treatment: Treatment): AwsAnswer | null {
    if (treatment === 'throttled') return throttling(this.#fault()?.retryAfterMs ?? null);
    if (treatment === 'unavailable')
      return failure(503, 'ServiceUnavailableException', 'The service is temporarily unavailable.');
    switch (this.#fault()?.name) {
      case 'error':
        return failure(500, 'InternalFailureException', 'Internal failure');
      case 'unauthorized':
        return failure(403, 'ForbiddenException', 'Forbidden');
      case 'html503':
        return {
          status: 503,
          headers: { 'content-type': 'text/html' },
          body: '<html><head><title>503 Service Unavailable</title></head><body>No backend.</body></html>',
        };
      default:
        return null;
    }
  }

  #signatureRefusal(request: AwsRequest): AwsAnswer | null {
    const refusal = refuseSignature(request, this.#signer, this.#clock.wallMs());
    return refusal && failure(403, refusal.type, refusal.message);
  }

  #route(request: AwsRequest): AwsAnswer {
    const [path = '', query = ''] = request.target.split('?', 2);
    const topic = /^\/topics\/(.+)$/.exec(path)?.[1];
    const thing = /^\/things\/([^/]+)\/shadow$/.exec(path)?.[1];
    if (topic !== undefined && request.method === 'POST') return this.#publish(request, topic);
    if (thing !== undefined)
      return this.#shadow(request, thing, new URLSearchParams(query).get('name') ?? '');
    return failure(405, 'MethodNotAllowedException', 'The specified verb and URI are not supported.');
  }

  #publish(request: AwsRequest, encodedTopic: string): AwsAnswer {
    const topic = decoded(encodedTopic);
    const header = request.headers['x-amz-mqtt5-user-properties'];
    const userProperties = decodeUserProperties(typeof header === 'string' ? header : '');
    if (topic === null || /[+#]/.test(topic) || userProperties === null) {
      return failure(400, 'InvalidRequestException', 'The request is not valid.');
    }
    if (request.body.length > PAYLOAD_BYTES_MAX) {
      return failure(413, 'RequestEntityTooLargeException', 'The payload is larger than 131072 bytes.');
    }
    // Both are errors of Publish (AWS IoT data plane API reference).
    const refused = this.#refusal.verdict(request.body);
    if (refused === 'too-large') {
      return failure(413, 'RequestEntityTooLargeException', 'The specified payload is too large.');
    }
    if (refused === 'invalid') return failure(400, 'InvalidRequestException', 'The request is not valid.');
    const message = { topic, payload: request.body, userProperties };
    this.#count(message);
    this.#rule.run(message, this.#fault());
    return this.#taken({ message: 'OK' });
  }

  #shadow(request: AwsRequest, thing: string, name: string): AwsAnswer {
    let answer: ShadowAnswer;
    if (request.method === 'GET') answer = this.#shadows.get(thing, name);
    else if (request.method === 'POST') answer = this.#shadows.update(thing, name, request.body.toString());
    else return failure(405, 'MethodNotAllowedException', 'The specified verb and URI are not supported.');
    if (answer.kind === 'error') return failure(answer.status, answer.type, answer.message);
    return this.#taken(answer.document);
  }

  /** The answer to an accepted request; with `ack-lost` it is never sent. */
  #taken(body: object): AwsAnswer {
    return this.#fault()?.name === 'ack-lost' ? 'cut' : { status: 200, body: JSON.stringify(body) };
  }

  #count({ topic, payload, userProperties }: PublishedMessage): void {
    const meter = this.#meter;
    const propertyBytes = userProperties.reduce(
      (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
      0,
    );
    meter.accepted += 1;
    meter.bytes += payload.length;
    meter.units += Math.ceil((payload.length + Buffer.byteLength(topic) + propertyBytes) / UNIT_BYTES);
    // headgate/<gateway>/<stream>
    const stream = topic.split('/').at(-1) ?? '';
    meter.perStream[stream] = (meter.perStream[stream] ?? 0) + 1;
  }
}

function decoded(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    // A percent sign that starts no escape: the request is not valid.
    return null;
  }
}

/** Null when the header is not base64 of `[{"key":"value"},…]`. */
function decodeUserProperties(header: string): PublishedMessage['userProperties'] | null {
  if (header === '') return [];
  try {
    const parsed = userPropertiesHeader.parse(JSON.parse(Buffer.from(header, 'base64').toString()));
    return parsed.flatMap((entry) => Object.entries(entry));
  } catch {
    return null;
  }
}

function throttling(retryAfterMs: number | null): AwsAnswer {
  const refusal = failure(429, 'ThrottlingException', 'Rate exceeded');
  if (refusal === 'cut' || retryAfterMs === null) return refusal;
  return { ...refusal, headers: { ...refusal.headers, 'retry-after': String(retryAfterMs / 1000) } };
}

function failure(status: number, type: string, message: string): AwsAnswer {
  return { status, headers: { 'x-amzn-errortype': type }, body: JSON.stringify({ message }) };
}
