import t from 'tap';
import { type AwsTariff, awsPrices } from '../../../shared/pricing/aws.ts';
import { type AzureTariff, azurePrices, type HubTier } from '../../../shared/pricing/azure.ts';
import { gcpPrices } from '../../../shared/pricing/gcp.ts';
import {
  billedUnits,
  type EnvelopeSizes,
  envelopeCostUsd,
  fixedUsdPerMonth,
  propertyBytes,
  standardTariff,
  unitsPerDay,
} from '../../../shared/pricing/metering.ts';
import type { Tariff } from '../../../shared/pricing/tariff.ts';

const KIB = 1024;
const GIB = 2 ** 30;

const aws = standardTariff('aws');
const azure = standardTariff('azure');
const gcp = standardTariff('gcp');
const mqtt = standardTariff('mqtt');

function hub(tier: HubTier, hubUnits = 1, share = 1): AzureTariff {
  return { type: 'azure', sheet: azurePrices.shipped, share, tier, hubUnits };
}

function sizes(payloadBytes: number, topicBytes = 0, propertyBytes = 0): EnvelopeSizes {
  return { payloadBytes, topicBytes, propertyBytes };
}

t.test('units are billed by each vendor’s rule', (t) => {
  const cases: Array<[Tariff, EnvelopeSizes, number]> = [
    [aws, sizes(1), 1],
    [aws, sizes(0), 1],
    [aws, sizes(5 * KIB), 1],
    [aws, sizes(5 * KIB, 1), 2],
    [aws, sizes(5 * KIB - 30, 10, 20), 1],
    [aws, sizes(5 * KIB - 30, 10, 21), 2],
    [azure, sizes(4 * KIB), 1],
    [azure, sizes(4 * KIB, 500), 1],
    [azure, sizes(4 * KIB, 0, 1), 2],
    [azure, sizes(0), 1],
    [hub('F1'), sizes(4 * KIB), 8],
    [hub('F1'), sizes(512, 0, 1), 2],
    [gcp, sizes(10), 1000],
    [gcp, sizes(900, 500, 64), 1000],
    [gcp, sizes(900, 0, 65), 1001],
    [gcp, sizes(4000), 4036],
    [mqtt, sizes(100, 20, 3), 123],
    [standardTariff('https'), sizes(100, 20, 3), 123],
  ];
  for (const [tariff, size, units] of cases) {
    t.equal(billedUnits(tariff, size), units, `${tariff.type} ${JSON.stringify(size)}`);
  }
  t.end();
});

t.test('properties are metered by the bytes of keys and values', (t) => {
  t.equal(propertyBytes({ hg: '1', gw: 'gw-1', n: undefined }), 2 + 1 + 2 + 4);
  t.equal(propertyBytes({ ä: 'ö' }), 4);
  t.end();
});

t.test('cost of one envelope', (t) => {
  const near = (actual: number, expected: number, name: string): void => {
    t.ok(Math.abs(actual - expected) < 1e-15, `${name}: ${actual} against ${expected}`);
  };
  const one = sizes(1000);
  // 1.00 message + 0.15 trigger + 0.15 action + 1.2 × 0.40 SQS = 1.78 per million
  near(envelopeCostUsd(aws, one, 0), 1.3e-6, 'aws, its SQS requests within the free million');
  near(envelopeCostUsd(aws, one, 900_000), 1.78e-6, 'aws beyond it');
  near(envelopeCostUsd(aws, one, 2e9), 1.58e-6, 'aws in the second tier');
  near(envelopeCostUsd(aws, one, 6e9), 1.48e-6, 'aws in the last tier');
  const ingest: AwsTariff = { type: 'aws', sheet: awsPrices.shipped, share: 1, basicIngest: true };
  near(envelopeCostUsd(ingest, one, 900_000), 0.78e-6, 'Basic Ingest has no messaging charge');
  // Half in the first tier, half in the second: 2 × 0.30 rules, one SQS request
  const two = sizes(6 * KIB);
  near(envelopeCostUsd(aws, two, 1e9 - 1), (1.0 + 0.8 + 0.6 + 0.48) * 1e-6, 'aws across a tier');
  const shared: Tariff = { ...standardTariff('aws'), share: 0.5 };
  near(envelopeCostUsd(shared, two, 5e8 - 1), (1.0 + 0.8 + 0.6 + 0.48) * 1e-6, 'tiers by share');
  // 20 units of 5 KiB are 100 KiB: two SQS requests of 64 KiB
  near(envelopeCostUsd(aws, sizes(100 * KIB), 1e6), (20 * 1.3 + 2 * 0.48) * 1e-6, 'aws large');
  near(envelopeCostUsd(azure, sizes(10 * KIB), 0), 0, 'azure within the quota');
  near(envelopeCostUsd(azure, one, 1e9), 0, 'azure never: beyond the quota it takes nothing');
  near(envelopeCostUsd(gcp, sizes(4000), 0), 0, 'gcp within the free 10 GiB');
  near(envelopeCostUsd(gcp, sizes(10), 5 * GIB), (1000 * 80) / 2 ** 40, 'gcp beyond: publish and delivery');
  near(envelopeCostUsd({ ...gcp, share: 0.01 }, sizes(10), 0.05 * GIB), (1000 * 80) / 2 ** 40, 'by share');
  near(envelopeCostUsd(mqtt, sizes(5000), 0), 0, 'own broker');
  const sheet = azurePrices.own.parse({
    type: 'azure',
    dated: '2026-11-21',
    egress_usd_per_gib: { ...azurePrices.shipped.egress_usd_per_gib, value: 0.08 },
  });
  const abroad: AzureTariff = { type: 'azure', sheet, share: 1, tier: 'S1', hubUnits: 1 };
  near(envelopeCostUsd(abroad, sizes(900, 50, 124), 0), (1024 * 0.08) / GIB, 'egress, without the topic');
  t.end();
});

t.test('quota and fee of a hub go by tier, units and share', (t) => {
  t.equal(unitsPerDay(hub('F1')), 8000);
  t.equal(unitsPerDay(hub('S1', 2)), 800_000);
  t.equal(unitsPerDay(hub('S2')), 6_000_000);
  t.equal(unitsPerDay(hub('S3', 1, 0.01)), 3_000_000);
  t.equal(unitsPerDay(aws), null);
  t.equal(fixedUsdPerMonth(hub('F1')), 0);
  t.equal(fixedUsdPerMonth(hub('S1', 4, 0.25)), 25);
  t.equal(fixedUsdPerMonth(aws), 0, 'HTTPS holds no connection');
  const minutes = { ...awsPrices.shipped.connection_minutes_per_day, value: 1440 };
  const sheet = { ...awsPrices.shipped, connection_minutes_per_day: minutes };
  const connected: AwsTariff = { type: 'aws', sheet, share: 1, basicIngest: false };
  t.ok(Math.abs(fixedUsdPerMonth(connected) - 0.003504) < 1e-9, '43,800 minutes at 0.08 per million');
  t.end();
});

t.test('the data files say where each figure comes from', (t) => {
  const { sla_percent } = awsPrices.shipped;
  const own = { type: 'aws', dated: '2026-11-21' };
  t.ok(awsPrices.own.safeParse({ ...own, sla_percent }).success);
  const undated = { ...own, sla_percent: { value: sla_percent.value, unit: 'percent' } };
  t.notOk(awsPrices.own.safeParse(undated).success, 'a figure without a source and date is refused');
  t.same(
    gcpPrices.shipped.certifications.map(({ name }) => name),
    ['SOC 2 Type II', 'ISO 27001', 'GDPR'],
  );
  t.end();
});

t.test('tiers ascend, and the last one is open', (t) => {
  const [first, second] = awsPrices.shipped.message_tiers;
  const own = (message_tiers: unknown) =>
    awsPrices.own.safeParse({ type: 'aws', dated: '2026-11-21', message_tiers }).success;
  t.ok(
    own([
      { ...first, up_to_messages: 500_000 },
      { ...second, up_to_messages: null },
    ]),
  );
  t.notOk(own([first]), 'nothing says what the messages above cost');
  t.notOk(own([second, first, { ...second, up_to_messages: null }]), 'descending');
  t.notOk(
    own([
      { ...first, up_to_messages: null },
      { ...second, up_to_messages: null },
    ]),
  );
  t.end();
});
