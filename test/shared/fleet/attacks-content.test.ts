/** Attacks by what is in a document, as data: its size, and what it says. See attacks.test.ts. */
import { compress } from '../../../shared/zstd.ts';
import { assigned, json, ordered, other, runAttacks, running } from './attack.ts';
import { assignment, BODY, KEYS, policy, sentBytes, sentRaw, stateAfter, withEnvelope } from './bytes.ts';

const { policies, assign, stranger } = KEYS;
const KIB = 1024;
/** Content of this many bytes: JSON may end with spaces. */
const LARGER = sentRaw(policies, 'policy', json(policy()).padEnd(256 * KIB + 1));
const noise = (bytes: number): Buffer =>
  Buffer.from(Array.from({ length: bytes }, (_, i) => (i * i * 31) >> 3));
/** 64 MiB of zeros. */
const BOMB = compress(Buffer.alloc(64 * KIB * KIB), 3);

/** The frame with a window in place of its content's size (RFC 8878, 3.1.1.1). */
function withoutSize(frame: Buffer, windowMib: number): Buffer {
  const descriptor = frame[4] ?? 0;
  const isSingle = (descriptor & 0x20) !== 0;
  const sizeBytes = descriptor >> 6 === 0 ? (isSingle ? 1 : 0) : 2 ** (descriptor >> 6);
  const blocks = frame.subarray(5 + (isSingle ? 0 : 1) + sizeBytes);
  // The exponent of the window, above 2^10, stands in the upper five bits.
  const head = Buffer.from([descriptor & 0x04, (10 + Math.log2(windowMib)) << 3]);
  return Buffer.concat([frame.subarray(0, 4), head, blocks]);
}

runAttacks({
  // Size.
  'a decompression bomb without a signature': {
    document: sentBytes([stranger], 'policy', BOMB),
    state: running,
    refused: { reason: 'signatures' },
  },
  'a decompression bomb': {
    document: sentBytes(policies, 'policy', BOMB),
    state: running,
    refused: { reason: 'too-large', part: 'content', bytesMax: 256 * KIB },
  },
  'a bomb that does not tell its size': {
    document: sentBytes(policies, 'policy', withoutSize(BOMB, 2)),
    state: running,
    refused: { reason: 'too-large', part: 'content' },
  },
  'a window of 64 MiB': {
    document: sentBytes(
      [assign],
      'assignment',
      withoutSize(compress(Buffer.from(json(assignment())), 3), 64),
    ),
    refused: { reason: 'malformed', field: 'payload' },
  },
  '256 KiB and a byte': {
    document: LARGER,
    state: stateAfter(assigned({ digest: LARGER.digest })),
    refused: { reason: 'too-large', part: 'content', bytesMax: 256 * KIB },
  },
  '64 KiB and a byte, packed': {
    document: sentBytes(policies, 'policy', noise(64 * KIB + 1)),
    state: running,
    refused: { reason: 'too-large', part: 'packed', bytesMax: 64 * KIB },
  },
  'an assignment of more than its bound': {
    document: sentRaw([assign], 'assignment', json(assignment()).padEnd(16 * KIB + 1)),
    refused: { reason: 'too-large', part: 'content', bytesMax: 16 * KIB },
  },
  'an envelope of a megabyte': {
    document: { text: `${assigned().text}${' '.repeat(KIB * KIB)}`, digest: '' },
    refused: { reason: 'too-large', part: 'envelope' },
  },
  'seventeen signatures': {
    document: withEnvelope(assigned(), (envelope) => {
      const [one] = envelope.signatures;
      if (one) envelope.signatures = Array.from({ length: 17 }, () => one);
    }),
    refused: { reason: 'malformed', field: 'signatures' },
  },
  'a frame behind the frame': {
    document: sentBytes(
      [assign],
      'assignment',
      Buffer.concat([compress(Buffer.from(json(assignment())), 3), BOMB.subarray(0, 999)]),
    ),
    refused: { reason: 'malformed', field: 'payload' },
  },
  'a thousand lists in each other': {
    document: sentRaw([assign], 'assignment', '['.repeat(8000) + ']'.repeat(8000)),
    refused: { reason: 'malformed' },
  },
  'no UTF-8': {
    document: sentRaw(
      [assign],
      'assignment',
      Buffer.from(json(assignment({ rollout: 'ro' })).replace('ro', '\xff'), 'latin1'),
    ),
    refused: { reason: 'malformed', field: 'content' },
  },
  // What.
  'a body that does not match its digest': {
    document: other,
    state: running,
    refused: { reason: 'not-assigned', digest: other.digest, assigned: BODY.digest },
  },
  'a body that nothing assigned': {
    document: BODY,
    refused: { reason: 'not-assigned', assigned: null },
  },
  'a policy that failed before, under a new sequence': {
    document: assigned({ sequence: 6 }),
    state: { ...running, failed: new Set([BODY.digest]) },
    refused: { reason: 'failed-before', digest: BODY.digest },
  },
  'the body of a policy that failed before': {
    document: BODY,
    state: { ...running, failed: new Set([BODY.digest]) },
    refused: { reason: 'failed-before' },
  },
  'an assignment while frozen': {
    document: assigned({ sequence: 6 }),
    state: stateAfter(assigned({ sequence: 5 }), ordered()),
    refused: { reason: 'frozen' },
  },
  'an assignment after one that freezes': {
    document: assigned({ sequence: 6 }),
    state: stateAfter(assigned({ sequence: 5, freeze: true })),
    refused: { reason: 'frozen' },
  },
  'a body while frozen': {
    document: BODY,
    state: stateAfter(assigned({ sequence: 5 }), ordered()),
    refused: { reason: 'frozen' },
  },
  'a blank policy, well signed': {
    document: sentRaw(policies, 'policy', json({ ...policy(), policy: {} })),
    state: running,
    refused: { reason: 'malformed', field: 'policy' },
  },
  'a policy whose stream is null, well signed': {
    document: sentRaw(policies, 'policy', json({ ...policy(), policy: { streams: { telemetry: null } } })),
    state: running,
    refused: { reason: 'malformed', field: 'policy.streams.telemetry' },
  },
  'a policy with a mistake, well signed (I8)': {
    document: sentRaw(
      policies,
      'policy',
      json({ ...policy(), policy: { streams: { a: { topics: ['a/#'] } } } }),
    ),
    state: running,
    refused: { reason: 'malformed', field: 'policy.streams' },
  },
});
