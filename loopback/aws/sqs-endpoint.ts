/**
 * The SQS endpoint: AWS JSON 1.0 over HTTPS with SigV4, one queue. Routers read from it, so only faults of
 * both sides affect it.
 */
import type { Server } from 'node:https';
import type { Clock } from '../../shared/clock.ts';
import type { Service } from '../../shared/service.ts';
import type { KeyAndCertificate } from '../ca.ts';
import type { Overload } from '../overload.ts';
import { type AwsAnswer, type AwsRequest, close, createAwsServer, listen } from './http.ts';
import { refuseSignature, type Signer } from './sigv4.ts';
import { done, refused, SQS_OPERATIONS, type SqsReply } from './sqs-api.ts';
import type { SqsQueue } from './sqs-queue.ts';

const QUEUE_NAME = 'headgate';
const ACCOUNT = '000000000000';

interface SqsEndpointOptions {
  queue: SqsQueue;
  signer: Signer;
  overload: Overload;
  tls: KeyAndCertificate;
  port: number;
  clock: Clock;
}

export class SqsEndpoint implements Service {
  readonly #queue: SqsQueue;
  readonly #signer: Signer;
  readonly #overload: Overload;
  readonly #clock: Clock;
  readonly #server: Server;
  #port: number;

  constructor(options: SqsEndpointOptions) {
    this.#queue = options.queue;
    this.#signer = options.signer;
    this.#overload = options.overload;
    this.#clock = options.clock;
    this.#port = options.port;
    this.#server = createAwsServer(options.tls, options.clock, (request) => this.#answer(request));
  }

  get url(): string {
    return `https://localhost:${this.#port}`;
  }

  get queueUrl(): string {
    return `${this.url}/${ACCOUNT}/${QUEUE_NAME}`;
  }

  async start(): Promise<void> {
    this.#port = await listen(this.#server, this.#port);
  }

  async stop(): Promise<void> {
    await close(this.#server);
    this.#queue.close();
  }

  async #answer(request: AwsRequest): Promise<AwsAnswer> {
    const refusal = refuseSignature(request, this.#signer, this.#clock.wallMs());
    if (refusal) return failure(403, `com.amazon.coral.service#${refusal.type}`, refusal.message);
    const target = request.headers['x-amz-target'];
    const isSettlement = typeof target === 'string' && /\.(Delete|ChangeMessage)/.test(target);
    const treatment = this.#overload.next(isSettlement);
    if (treatment === 'unavailable')
      return json(503, { __type: 'com.amazon.coral.service#ServiceUnavailable', message: 'Unavailable.' });
    if (treatment === 'throttled') return failure(400, 'com.amazonaws.sqs#RequestThrottled', 'Rate exceeded');
    if (treatment === 'late') await this.#overload.wait();
    const reply = await this.#run(request);
    if (reply.kind === 'output') return json(200, reply.output);
    return failure(400, `com.amazonaws.sqs#${reply.type}`, reply.message);
  }

  #run(request: AwsRequest): SqsReply | Promise<SqsReply> {
    const target = request.headers['x-amz-target'];
    const name = typeof target === 'string' ? target.replace('AmazonSQS.', '') : '';
    const input = parseJson(request.body);
    if (name === 'GetQueueUrl' && textField(input, 'QueueName') === QUEUE_NAME) {
      return done({ QueueUrl: this.queueUrl });
    }
    const operation = SQS_OPERATIONS.get(name);
    if (!operation) return refused('UnsupportedOperation', `Operation ${name} is not supported.`);
    if (textField(input, 'QueueUrl') !== this.queueUrl) {
      return refused('QueueDoesNotExist', 'The specified queue does not exist.');
    }
    return operation(this.#queue, input, request.gone);
  }
}

/** Undefined for text that is not JSON: every operation refuses that. */
function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function textField(input: unknown, name: string): string | null {
  if (typeof input !== 'object' || input === null) return null;
  const value: unknown = Reflect.get(input, name);
  return typeof value === 'string' ? value : null;
}

function json(status: number, body: object): AwsAnswer {
  return { status, headers: { 'content-type': 'application/x-amz-json-1.0' }, body: JSON.stringify(body) };
}

function failure(status: number, type: string, message: string): AwsAnswer {
  return json(status, { __type: type, message });
}
