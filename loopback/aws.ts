/**
 * AWS on 127.0.0.1: the IoT data plane for gateways (behind the proxy with the transport faults), an IoT
 * rule, and the SQS queue for routers. Both endpoints are HTTPS with SigV4; the keys are generated at start.
 */
import type { Clock } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';
import type { Logger } from '../shared/log.ts';
import { type Service, stopAll } from '../shared/service.ts';
import { IotDataPlane } from './aws/iot-data-plane.ts';
import { TopicRule } from './aws/rule.ts';
import type { AwsKeys, AwsSession, Signer } from './aws/sigv4.ts';
import { SqsEndpoint } from './aws/sqs-endpoint.ts';
import { SqsQueue } from './aws/sqs-queue.ts';
import { Sts } from './aws/sts.ts';
import type { CertificateAuthority } from './ca.ts';
import type { Cloud, CloudMeter, OnStored } from './cloud.ts';
import type { Fault } from './faults.ts';
import { Overload, sourceSide } from './overload.ts';
import { PermanentRefusal } from './permanent-refusal.ts';
import { TcpProxy } from './tcp-proxy.ts';

export interface AwsCloudOptions {
  /** Default: free ports. */
  ports?: { ingest?: number; queue?: number };
  ca: CertificateAuthority;
  /** Path of the CA's PEM, for the configuration entries. */
  caFile: string;
  /**
   * Clients take a role, with keys of this life, in place of the keys in their configuration: see
   * `environment`.
   */
  roleLifetimeMs?: number;
  onStored?: OnStored;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

const REGION = 'eu-west-1';
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

interface Endpoints {
  proxy: TcpProxy;
  ingest: IotDataPlane;
  queue: SqsEndpoint;
  consumers: Overload;
  sts: Sts;
}

export class AwsCloud implements Cloud {
  readonly name = 'aws';
  readonly refusal = new PermanentRefusal();
  readonly #options: AwsCloudOptions;
  readonly #keys: AwsKeys;
  readonly #sessions = new Map<string, AwsSession>();
  readonly #queue: SqsQueue;
  readonly #rule: TopicRule;
  /** Steps of `stop`, in reverse order of the start. */
  #stopSteps: (() => Promise<void>)[] = [];
  #endpoints: Endpoints | null = null;
  #fault: Fault | null = null;

  constructor(options: AwsCloudOptions) {
    const { clock, entropy, onStored } = options;
    this.#options = options;
    this.#keys = {
      accessKeyId: `AKIA${Array.from(entropy.bytes(16), (byte) => BASE32[byte & 31]).join('')}`,
      secretAccessKey: Buffer.from(entropy.bytes(30)).toString('base64'),
    };
    const queue = new SqsQueue(clock, entropy);
    this.#queue = queue;
    const send = (body: string): void => {
      onStored?.(body);
      queue.send(body);
    };
    this.#rule = new TopicRule({ send, clock, entropy });
  }

  async start(): Promise<void> {
    const { ca, clock, entropy, ports, log } = this.#options;
    const tls = await ca.issue('localhost', 'server');
    const [keys, sessions] = [this.#keys, this.#sessions];
    const signer = (service: string): Signer => ({ keys, sessions, region: REGION, service });
    const fault = (): Fault | null => this.#fault;
    const consumers = new Overload({ fault: () => sourceSide(this.#fault), clock, entropy });
    const queue = new SqsEndpoint({
      queue: this.#queue,
      signer: signer('sqs'),
      overload: consumers,
      tls,
      port: ports?.queue ?? 0,
      clock,
    });
    const ingest = new IotDataPlane({
      rule: this.#rule,
      signer: signer('iotdata'),
      tls,
      clock,
      fault,
      overload: new Overload({ fault, clock, entropy }),
      refusal: this.refusal,
    });
    await this.#startPart(queue);
    await this.#startPart(ingest);
    const proxy = new TcpProxy({ targetPort: ingest.port, port: ports?.ingest ?? 0, clock, entropy });
    await this.#startPart(proxy);
    const sts = new Sts({ sessions, lifetimeMs: this.#options.roleLifetimeMs ?? 0, clock, entropy });
    await this.#startPart(sts);
    this.#endpoints = { proxy, ingest, queue, consumers, sts };
    log.info({ event: 'loopback.started', cloud: 'aws', ingestPort: proxy.port, queue: queue.url });
  }

  async #startPart(part: Service): Promise<void> {
    await part.start();
    this.#stopSteps.unshift(() => part.stop());
  }

  async stop(): Promise<void> {
    const steps = this.#stopSteps;
    this.#stopSteps = [];
    this.#rule.flush();
    await stopAll(steps);
  }

  async setFault(fault: Fault | null): Promise<void> {
    this.#fault = fault;
    if (fault?.name !== 'reorder') this.#rule.flush();
    if (fault?.name !== 'late') this.#rule.releaseLate();
    this.#endpoints?.sts.setSilent(fault?.name === 'credentials-silent');
    await this.#endpoints?.proxy.setFault(fault);
  }

  fault(): Fault | null {
    return this.#fault;
  }

  meter(): CloudMeter {
    return {
      ...this.#started().ingest.meter(),
      delivered: this.#queue.delivered,
      settled: this.#queue.settled,
      unsettled: this.#queue.visible + this.#queue.inFlight,
      throttled: this.#started().consumers.turnedAway,
    };
  }

  agentConfig(_gateway: string): Record<string, unknown> {
    return {
      name: 'aws',
      type: 'aws',
      region: REGION,
      endpoint: `https://localhost:${this.#started().proxy.port}`,
      ca_file: this.#options.caFile,
      ...this.#credentials(),
    };
  }

  routerConfig(): Record<string, unknown> {
    const { queue } = this.#started();
    return {
      name: 'aws',
      type: 'aws',
      region: REGION,
      endpoint: queue.url,
      queue_url: queue.queueUrl,
      ca_file: this.#options.caFile,
      ...this.#credentials(),
    };
  }

  /** Replaces the keys at once, like an operator's urgent rotation. */
  rotateKeys(keys: AwsKeys): void {
    // The endpoints share this object.
    Object.assign(this.#keys, keys);
  }

  /** The environment of clients that take the role; their files go to `dir`. */
  environment(dir: string): Promise<Record<string, string>> {
    return this.#started().sts.environment(dir);
  }

  #credentials(): Record<string, unknown> {
    if (this.#options.roleLifetimeMs !== undefined) return {};
    const { accessKeyId: access_key_id, secretAccessKey: secret_access_key } = this.#keys;
    return { credentials: { access_key_id, secret_access_key } };
  }

  #started(): Endpoints {
    if (!this.#endpoints) throw new Error('the aws loopback cloud is not started');
    return this.#endpoints;
  }
}
