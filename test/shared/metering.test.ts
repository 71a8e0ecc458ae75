import t from 'tap';
import { billedUnits, type EnvelopeSizes, envelopeCostUsd, propertyBytes } from '../../shared/metering.ts';
import { PRICE_SHEETS, type PriceSheet, priceSheetSchema } from '../../shared/prices.ts';

const KIB = 1024;
const GIB = 2 ** 30;

t.test('units are billed by each vendor’s rule', (t) => {
  const sizes = (payloadBytes: number, topicBytes = 0, propertyBytes = 0): EnvelopeSizes => ({
    payloadBytes,
    topicBytes,
    propertyBytes,
  });
  const cases: Array<[PriceSheet['type'], EnvelopeSizes, number]> = [
    ['aws', sizes(1), 1],
    ['aws', sizes(0), 1],
    ['aws', sizes(5 * KIB), 1],
    ['aws', sizes(5 * KIB, 1), 2],
    ['aws', sizes(5 * KIB - 30, 10, 20), 1],
    ['aws', sizes(5 * KIB - 30, 10, 21), 2],
    ['azure', sizes(4 * KIB), 1],
    ['azure', sizes(4 * KIB, 500), 1],
    ['azure', sizes(4 * KIB, 0, 1), 2],
    ['azure', sizes(0), 1],
    ['gcp', sizes(10), 1000],
    ['gcp', sizes(900, 500, 64), 1000],
    ['gcp', sizes(900, 0, 65), 1001],
    ['gcp', sizes(4000), 4036],
    ['mqtt', sizes(100, 20, 3), 123],
  ];
  for (const [type, size, units] of cases) {
    t.equal(billedUnits(type, size), units, `${type} ${JSON.stringify(size)}`);
  }
  t.end();
});

t.test('properties are metered by the bytes of keys and values', (t) => {
  t.equal(propertyBytes({ hg: '1', gw: 'gw-1', n: undefined }), 2 + 1 + 2 + 4);
  t.equal(propertyBytes({ ä: 'ö' }), 4);
  t.end();
});

t.test('cost of one envelope', (t) => {
  const { aws, azure, gcp, mqtt } = PRICE_SHEETS;
  const near = (actual: number, expected: number, name: string): void => {
    t.ok(Math.abs(actual - expected) < 1e-15, `${name}: ${actual} against ${expected}`);
  };
  // 1.00 message + 0.15 trigger + 0.15 action + 1.2 × 0.40 SQS = 1.78 per million
  near(envelopeCostUsd(aws, 1, 0), 1.78e-6, 'aws');
  near(envelopeCostUsd(aws, 1, 2e9), 1.58e-6, 'aws in the second tier');
  near(envelopeCostUsd(aws, 1, 6e9), 1.48e-6, 'aws in the last tier');
  // Half in the first tier, half in the second: 2 × 0.30 rules, one SQS request
  near(envelopeCostUsd(aws, 2, 1e9 - 1), (1.0 + 0.8 + 0.6 + 0.48) * 1e-6, 'aws across a tier');
  // 20 units of 5 KiB are 100 KiB: two SQS requests of 64 KiB
  near(envelopeCostUsd(aws, 20, 0), (20 * 1.3 + 2 * 0.48) * 1e-6, 'aws large');
  near(envelopeCostUsd(azure, 3, 0), 0, 'azure within the quota');
  near(envelopeCostUsd(azure, 1, 400_000 * 30 - 1), 0, 'azure, last of the quota');
  near(envelopeCostUsd(azure, 2, 400_000 * 30 - 1), 25 / (400_000 * 30), 'azure, one beyond the quota');
  near(envelopeCostUsd(gcp, 4036, 0), 0, 'gcp within the free 10 GiB');
  near(envelopeCostUsd(gcp, 1000, 5 * GIB), (1000 * 80) / 2 ** 40, 'gcp beyond it: publish and delivery');
  near(envelopeCostUsd(mqtt, 5000, 0), 0, 'own broker');
  t.end();
});

t.test('the data files say where each figure comes from', (t) => {
  for (const sheet of Object.values(PRICE_SHEETS))
    t.ok(priceSheetSchema.safeParse(sheet).success, sheet.type);
  const { sla_percent, ...rest } = PRICE_SHEETS.aws;
  const undated = { ...rest, sla_percent: { value: sla_percent.value, unit: 'percent' } };
  t.notOk(priceSheetSchema.safeParse(undated).success, 'a figure without a source and date is refused');
  t.same(
    PRICE_SHEETS.gcp.certifications.map(({ name }) => name),
    ['SOC 2 Type II', 'ISO 27001', 'GDPR'],
  );
  t.end();
});
