/**
 * An IoT hub on 127.0.0.1: the MQTT endpoint for gateways, behind a TCP proxy for transport faults; the Event
 * Hubs compatible endpoint for the router; and the service API for the router's writes to twins. All use TLS
 * with a certificate of the given CA, and check tokens, identities and sizes like the vendor's.
 */
import type { Clock } from '../shared/clock.ts';
import type { Entropy } from '../shared/entropy.ts';
import type { Logger } from '../shared/log.ts';
import { stopAll } from '../shared/service.ts';
import { DeviceRegistry, HUB_HOST } from './azure/devices.ts';
import { EventHubsServer } from './azure/event-hubs.ts';
import { EventLog } from './azure/event-log.ts';
import { Ingest } from './azure/ingest.ts';
import { IotHub } from './azure/iot-hub.ts';
import { ServiceApi } from './azure/service-api.ts';
import { type JsonObject, type Twin, Twins } from './azure/twins.ts';
import type { CertificateAuthority } from './ca.ts';
import type { Cloud, CloudMeter, OnStored } from './cloud.ts';
import { type Fault, TRANSPORT_FAULTS } from './faults.ts';
import { Overload, sourceSide } from './overload.ts';
import { PermanentRefusal } from './permanent-refusal.ts';
import { TcpProxy } from './tcp-proxy.ts';

const HUB = 'headgate';
const POLICY = 'service';
/**
 * A hub created by the vendor's command line has 4 partitions by default; 2 are enough for tests of several.
 */
const PARTITIONS = 2;

export interface AzureCloudOptions {
  /** The MQTT and the AMQP endpoint; free ports by default. */
  ports?: { ingest?: number; events?: number };
  ca: CertificateAuthority;
  /** Path of the CA's PEM, for the config entries. */
  caFile: string;
  onStored?: OnStored;
  clock: Clock;
  entropy: Entropy;
  log: Logger;
}

export class AzureCloud implements Cloud {
  readonly name = 'azure';
  readonly refusal = new PermanentRefusal();
  readonly #options: AzureCloudOptions;
  readonly #devices: DeviceRegistry;
  readonly #ingest: Ingest;
  readonly #twins = new Twins();
  readonly #events: EventLog;
  readonly #policyKey: string;
  #hub: IotHub | null = null;
  #proxy: TcpProxy | null = null;
  #consumers: EventHubsServer | null = null;
  readonly #consumersOverload: Overload;
  #service: ServiceApi | null = null;
  #fault: Fault | null = null;
  #ingestPort: number;
  #eventsPort: number;
  #servicePort = 0;

  constructor(options: AzureCloudOptions) {
    const { clock, entropy, log, onStored } = options;
    this.#options = options;
    this.#ingestPort = options.ports?.ingest ?? 0;
    this.#eventsPort = options.ports?.events ?? 0;
    this.#devices = new DeviceRegistry(entropy);
    this.#consumersOverload = new Overload({ fault: () => sourceSide(this.#fault), clock, entropy });
    this.#events = new EventLog({ partitions: PARTITIONS, onStored, clock, log });
    this.#ingest = new Ingest({ events: this.#events, clock, entropy });
    this.#policyKey = Buffer.from(entropy.bytes(32)).toString('base64');
  }

  async start(): Promise<void> {
    const { ca, clock, entropy, log } = this.#options;
    const server = { ...(await ca.issue('localhost', 'server')), ca: ca.ca };
    const [devices, ingest, twins, events] = [this.#devices, this.#ingest, this.#twins, this.#events];
    const overload = new Overload({ fault: () => this.#fault, clock, entropy });
    const { refusal } = this;
    this.#hub = new IotHub({ devices, ingest, twins, overload, refusal, server, clock, entropy, log });
    await this.#hub.start();
    this.#proxy = new TcpProxy({ targetPort: this.#hub.port, port: this.#ingestPort, clock, entropy });
    await this.#proxy.start();
    this.#ingestPort = this.#proxy.port;
    this.#consumers = new EventHubsServer({
      hub: HUB,
      policy: { name: POLICY, key: this.#policyKey },
      events,
      overload: this.#consumersOverload,
      server,
      port: this.#eventsPort,
      onDelivered: () => {
        ingest.meter.delivered += 1;
        // Event Hubs settles nothing: a consumer keeps its own position.
        ingest.meter.settled += 1;
      },
      clock,
      log,
    });
    await this.#consumers.start();
    this.#eventsPort = this.#consumers.port;
    this.#service = new ServiceApi({
      policy: { name: POLICY, key: this.#policyKey },
      devices,
      twins,
      onDesired: (device, patch, version) => this.#hub?.pushDesired(device, patch, version),
      server,
      port: this.#servicePort,
      clock,
      log,
    });
    await this.#service.start();
    this.#servicePort = this.#service.port;
  }

  async stop(): Promise<void> {
    await stopAll([
      async () => this.#proxy?.stop(),
      async () => this.#hub?.stop(),
      async () => this.#consumers?.stop(),
      async () => this.#service?.stop(),
    ]);
  }

  async setFault(fault: Fault | null): Promise<void> {
    this.#fault = fault;
    this.#hub?.setFault(fault && !TRANSPORT_FAULTS.has(fault.name) ? fault : null);
    if (fault?.name !== 'late') this.#ingest.releaseLate();
    if (fault?.name === 'brownout' && fault.bothSides) this.#consumers?.cut();
    if (fault?.name === 'throttle' && fault.bothSides) this.#consumers?.endReceivers();
    this.#service?.setFault(fault?.name ?? null);
    await this.#proxy?.setFault(fault);
  }

  fault(): Fault | null {
    return this.#fault;
  }

  meter(): CloudMeter {
    const { meter } = this.#ingest;
    const throttled = this.#consumersOverload.turnedAway;
    return { ...meter, perStream: { ...meter.perStream }, throttled };
  }

  agentConfig(gateway: string): Record<string, unknown> {
    const key = this.#devices.registerKey(gateway);
    return {
      name: 'azure',
      type: 'azure',
      region: 'westeurope',
      ca_file: this.#options.caFile,
      credentials: {
        connection_string: `HostName=${HUB_HOST};DeviceId=${gateway};SharedAccessKey=${key};GatewayHostName=localhost:${this.#ingestPort}`,
      },
    };
  }

  routerConfig(): Record<string, unknown> {
    return {
      name: 'azure',
      type: 'azure',
      event_hub: HUB,
      ca_file: this.#options.caFile,
      credentials: {
        connection_string: `Endpoint=sb://localhost:${this.#eventsPort}/;SharedAccessKeyName=${POLICY};SharedAccessKey=${this.#policyKey};EntityPath=${HUB}`,
      },
    };
  }

  /** The `receipts.through[]` entry of a router that writes to the twins. */
  twinConfig(): Record<string, unknown> {
    return {
      name: 'twin',
      type: 'azure',
      ca_file: this.#options.caFile,
      credentials: {
        connection_string: `HostName=${HUB_HOST};SharedAccessKeyName=${POLICY};SharedAccessKey=${this.#policyKey};GatewayHostName=localhost:${this.#servicePort}`,
      },
    };
  }

  /** Registers a device that logs in with a certificate of the CA with its id as common name. */
  registerX509Device(device: string): void {
    this.#devices.registerCertificate(device);
  }

  twin(device: string): Twin {
    return this.#twins.read(device);
  }

  /**
   * Merges a patch into a twin, like an operator in the cloud, and notifies the device if it is subscribed.
   */
  patchDesired(device: string, patch: JsonObject): void {
    const version = this.#twins.patch(device, 'desired', patch);
    this.#hub?.pushDesired(device, patch, version);
  }

  /** Whether a connected device is subscribed to patches of its twin. */
  listensToDesired(device: string): boolean {
    return this.#hub?.listensToDesired(device) ?? false;
  }

  /** Billed units of the devices' twin operations, separate from the meter. */
  twinUnits(): number {
    return this.#hub?.twinUnits ?? 0;
  }

  /** While true, the hub has no twins, as in the basic tier. */
  setBasicTier(isBasic: boolean): void {
    this.#hub?.setBasicTier(isBasic);
    this.#service?.setBasicTier(isBasic);
  }

  /** Cuts the consumers' connections. */
  cutConsumers(): void {
    this.#consumers?.cut();
  }

  /** While true, consumers stay connected and receive nothing. */
  stallConsumers(stalled: boolean): void {
    this.#consumers?.stall(stalled);
  }

  /** While true, questions about the hub and its partitions are throttled; receivers go on. */
  throttleQuestions(isBusy: boolean): void {
    this.#consumers?.turnQuestionsAway(isBusy);
  }

  /**
   * While true, the receiver of each partition is attached and ended at once, as after a takeover by another
   * reader.
   */
  refuseConsumers(refused: boolean): void {
    this.#consumers?.refuse(refused);
  }

  /** Drops all events of each partition but the newest, as if the others were too old. */
  keepNewestEvents(kept: number): void {
    for (const partition of this.#events.partitions) partition.keepNewest(kept);
  }
}
