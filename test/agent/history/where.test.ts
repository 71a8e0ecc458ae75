import { appendFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { WhereAnswer } from '../../../shared/admin-api/where.ts';
import { wallMsOf } from '../../../shared/clock.ts';
import { headgate } from '../../cli/run.ts';
import { gatewayWith, untilAnswer } from './gateway.ts';

const POLICY = {
  streams: {
    both: { topics: ['both/#'], redundancy: 2, linger: '10ms' },
    short: { topics: ['short/#'], linger: '10ms', max_age: '1s', redundancy: 2 },
    telemetry: { topics: ['#'], linger: '10ms', preferred_providers: ['a'] },
  },
};

t.test(
  'where says who accepted a record and when, also after a kill; where it waits; what was given up (I3)',
  async (t) => {
    const gateway = await gatewayWith(t, { policy: POLICY });
    const { dir, brokers } = gateway;
    const startedMs = Date.now();
    const epoch = gateway.agent.epoch ?? '';
    const where = (stream: string, seq: number, of = epoch) =>
      gateway.ask<WhereAnswer>(`/v1/where?id=gw-1/${of}/${stream}/${seq}`);
    const settled = (stream: string, seq: number) =>
      untilAnswer(
        'it is delivered',
        () => where(stream, seq),
        ({ state }) => state === 'delivered',
      );

    await gateway.publish('plant/temp', 40);
    await gateway.publish('both/temp', 3);
    const first = await settled('telemetry', 40);
    t.match(first, {
      state: 'delivered',
      copies: 1,
      reason: null,
      accepted: [{ provider: 'a', clock: 'synchronised' }],
    });
    const [span] = first.accepted;
    t.ok(
      span && wallMsOf(span.from) >= startedMs - 1000 && wallMsOf(span.to) <= Date.now() + 1000,
      JSON.stringify(span),
    );
    const twice = await settled('both', 2);
    t.same(new Set(twice.accepted.map(({ provider }) => provider)), new Set(['a', 'b']));
    t.match(await where('telemetry', 41), { state: 'not-yet-given', accepted: [] });

    await brokers.b.down();
    await gateway.publish('both/temp', 1);
    const half = await untilAnswer(
      'a has the first copy',
      () => where('both', 4),
      ({ accepted }) => accepted.length > 0,
    );
    t.match(half, { state: 'waiting', copies: 2, accepted: [{ provider: 'a' }] }, 'one copy is there');
    await gateway.publish('short/temp', 2);
    const gone = await untilAnswer(
      'it is given up',
      () => where('short', 2),
      ({ state }) => state === 'given-up',
    );
    t.match(gone, { state: 'given-up', reason: 'age' });

    const folder = join(dir, 'data', 'history');
    await untilAnswer(
      'the gap is written',
      async () => gateway.written(),
      (text) => text.includes('"gave-up"'),
    );
    await gateway.agent.kill();
    const [last] = readdirSync(folder).slice(-1);
    appendFileSync(join(folder, last ?? ''), '{"k":"took","m":12,"d":1,"ep":"cut sh');
    await gateway.start();
    t.not(gateway.agent.epoch, epoch);
    const again = await where('telemetry', 17);
    t.match(again, { state: 'delivered', accepted: [{ provider: 'a' }] }, 'after the kill too');
    const movedMs = wallMsOf(again.accepted[0]?.from ?? '') - wallMsOf(span?.from ?? '');
    t.ok(Math.abs(movedMs) < 100, `the same time, by what is now known of the clock: ${movedMs} ms`);
    t.match(await where('both', 4), { state: 'waiting', accepted: [{ provider: 'a' }] });
    t.match(await where('short', 1), { state: 'given-up', reason: 'age' });
    t.match(await where('telemetry', 999), { state: 'unknown' }, 'nobody knows how far an old epoch came');
    await gateway.publish('plant/temp', 1);
    const next = await untilAnswer(
      'the next epoch delivers',
      () => where('telemetry', 1, gateway.agent.epoch ?? ''),
      ({ state }) => state === 'delivered',
    );
    t.match(next, { state: 'delivered' });
    await untilAnswer(
      'the next epoch is written',
      async () => gateway.written(),
      (text) => text.includes(gateway.agent.epoch ?? 'none'),
    );
    t.match(gateway.written(), /cut sh\n\{"k":"clock"/, 'what was cut short stands on a line of its own');

    const shown = await headgate(['where', `gw-1/${epoch}/both/2`, '--admin', gateway.admin]);
    t.match(
      shown.stdout,
      /^gw-1\/.*\/both\/2: delivered\n\nACCEPTED BY +NOT BEFORE +NOT AFTER +CLOCK\n[ab] /,
    );
    t.match(await gateway.cli('where', 'gw-1/both/2'), {
      code: 2,
      stderr: /"gw-1\/both\/2" is not a record id: expected <gateway>/,
    });
    await t.rejects(gateway.ask('/v1/where?id=abc'), /\\"abc\\" is not a record id: expected <gateway>/);
    t.match(await gateway.cli('where', `gw-2/${epoch}/both/2`), {
      code: 1,
      stderr: /404: the record belongs to gateway gw-2/,
    });
  },
);
