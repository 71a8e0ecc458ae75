import t from 'tap';
import { type DemoFlags, parseDemoFlags } from '../../demo/options.ts';

const FLAGS: DemoFlags = { rate: '500', devices: '20', duration: '45', payload: '120', seed: '1' };

function problems(flags: Partial<DemoFlags>): string[] {
  const parsed = parseDemoFlags({ ...FLAGS, ...flags });
  return parsed.ok ? [] : parsed.problems;
}

t.test('without flags the cloud in use goes silent for the middle third', async (t) => {
  t.strictSame(parseDemoFlags(FLAGS), {
    ok: true,
    options: {
      faults: [{ provider: null, fault: 'blackhole', startSeconds: 15, endSeconds: 30 }],
      kills: [],
      rate: 500,
      devices: 20,
      duration: 45,
      payload: 120,
      seed: 1,
      hold: false,
      json: false,
    },
  });
  t.match(parseDemoFlags({ ...FLAGS, fault: false }), { ok: true, options: { faults: [] } });
});

t.test('faults and kills', async (t) => {
  const parsed = parseDemoFlags({
    ...FLAGS,
    fault: ['gcp:ack-lost@0-45', 'aws:refuse@1.5-2'],
    kill: ['router@20', 'agent@12.5'],
    keep: 'out',
    hold: true,
    json: true,
  });
  t.match(parsed, {
    ok: true,
    options: {
      faults: [
        { provider: 'gcp', fault: 'ack-lost', startSeconds: 0, endSeconds: 45 },
        { provider: 'aws', fault: 'refuse', startSeconds: 1.5, endSeconds: 2 },
      ],
      kills: [
        { target: 'agent', atSeconds: 12.5 },
        { target: 'router', atSeconds: 20 },
      ],
      keep: 'out',
      hold: true,
      json: true,
    },
  });
});

t.test('mistakes name the flag, what is known, and what was meant', async (t) => {
  const fault = (text: string) => problems({ fault: [text] })[0] ?? '';
  t.match(fault('aws:blackhole'), /expected <provider>:<fault>@<start>-<end>/);
  t.match(
    fault('asw:blackhole@1-2'),
    /unknown provider "asw" \(did you mean aws\?\); known: aws, azure, gcp/,
  );
  t.match(
    fault('aws:blackhol@1-2'),
    /unknown fault "blackhol" \(did you mean blackhole\?\); known: refuse, /,
  );
  t.match(fault('aws:slow@5-5'), /the end must come after the start/);
  t.match(fault('aws:slow@40-46'), /it ends after the demo \(--duration 45\)/);
  t.match(fault('aws:slow:x@1-2'), /is not <provider>:<fault>/);
  t.match(problems({ kill: ['agnet@3'] }), [
    /unknown process "agnet" \(did you mean agent\?\); known: agent, router/,
  ]);
  t.match(problems({ kill: ['agent'] }), [/expected agent@<second> or router@<second>/]);
  t.match(problems({ kill: ['agent@46'] }), [/it comes after the demo/]);
  t.match(problems({ seed: '-1' }), [/--seed "-1": expected a whole number from 0 to 4294967295/]);
});

t.test('all mistakes are told at once, and a wrong duration makes no others', async (t) => {
  t.equal(problems({ rate: 'x', devices: '0', payload: '1.5', fault: ['x'], kill: ['y'] }).length, 5);
  t.match(problems({ duration: 'long', fault: ['aws:slow@40-46'], kill: ['agent@50'] }), [
    /^--duration "long"/,
  ]);
});
