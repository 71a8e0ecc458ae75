/**
 * The vendor's device SDK, loaded at first use: it takes about 25 MB, which a gateway without Azure saves.
 */
import { createRequire } from 'node:module';
import type { NoRetry } from 'azure-iot-common';
import type {
  Client,
  Message,
  SharedAccessKeyAuthenticationProvider,
  SharedAccessSignatureAuthenticationProvider,
  X509AuthenticationProvider,
} from 'azure-iot-device';
import type { Mqtt, MqttWs } from 'azure-iot-device-mqtt';
import type { MqttBase } from 'azure-iot-mqtt-base';

/**
 * The members used of the MQTT.js client underneath (4.x; its types differ from those of the project's own
 * 5.x).
 */
export interface RawMqttClient {
  stream: { destroy(): void };
  publish: (topic: string, payload: unknown, options: object, done: (error?: Error) => void) => unknown;
  subscribe(
    filter: string,
    options: object,
    done: (error: Error | null, granted?: Array<{ qos: number }>) => void,
  ): unknown;
  emit: (event: string, ...values: unknown[]) => boolean;
  on(event: 'error', listener: (error: Error) => void): this;
  on(event: 'close', listener: () => void): this;
  on(event: 'packetreceive', listener: (packet: { cmd: string }) => void): this;
  once(event: 'packetreceive', listener: (packet: { cmd: string }) => void): this;
}

interface RawMqttModule {
  connect(uri: string, options: object): RawMqttClient;
}

export interface AzureSdk {
  Client: typeof Client;
  Message: typeof Message;
  Mqtt: typeof Mqtt;
  MqttWs: typeof MqttWs;
  MqttBase: typeof MqttBase;
  NoRetry: typeof NoRetry;
  KeyAuthentication: typeof SharedAccessKeyAuthenticationProvider;
  TokenAuthentication: typeof SharedAccessSignatureAuthenticationProvider;
  X509Authentication: typeof X509AuthenticationProvider;
  mqtt: RawMqttModule;
}

let loading: Promise<AzureSdk> | null = null;

export function loadAzureSdk(): Promise<AzureSdk> {
  loading ??= load();
  return loading;
}

async function load(): Promise<AzureSdk> {
  // These packages are CommonJS, and Node cannot detect their named exports: only the default export is
  // complete.
  const [device, transport, base, common] = await Promise.all([
    import('azure-iot-device'),
    import('azure-iot-device-mqtt'),
    import('azure-iot-mqtt-base'),
    import('azure-iot-common'),
  ]);
  // The MQTT.js version that the SDK depends on, wherever npm installed it.
  const require = createRequire(createRequire(import.meta.url).resolve('azure-iot-mqtt-base'));
  return {
    Client: device.default.Client,
    Message: device.default.Message,
    Mqtt: transport.default.Mqtt,
    MqttWs: transport.default.MqttWs,
    MqttBase: base.default.MqttBase,
    NoRetry: common.default.NoRetry,
    KeyAuthentication: device.default.SharedAccessKeyAuthenticationProvider,
    TokenAuthentication: device.default.SharedAccessSignatureAuthenticationProvider,
    X509Authentication: device.default.X509AuthenticationProvider,
    mqtt: require('mqtt') as RawMqttModule,
  };
}
