import fc from 'fast-check';
import t from 'tap';
import { topicFilterProblem, topicMatches, topicNameProblem } from '../../../shared/policy/topic-filter.ts';

/** The examples of MQTT 3.1.1 section 4.7, and the edges between them. */
const CASES: Array<[filter: string, topic: string, matches: boolean]> = [
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/#', 'sport', true],
  ['sport/#', 'sports', false],
  ['#', 'sport/tennis', true],
  ['#', '/', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+/+', '/finance', true],
  ['/+', '/finance', true],
  ['+', '/finance', false],
  ['+/tennis/#', 'sport/tennis', true],
  ['+/#', 'sport', true],
  ['a/+/c', 'a//c', true],
  ['a//c', 'a//c', true],
  ['a/b', 'a/b/', false],
  ['a/b/', 'a/b', false],
  ['ACCOUNTS', 'Accounts', false],
  ['#', '$SYS/broker', false],
  ['+/broker', '$SYS/broker', false],
  ['$SYS/#', '$SYS/broker', true],
  ['$SYS/+', '$SYS/broker', true],
  ['a/#', 'a/$b', true],
];

t.test('matches as the standard says', async (t) => {
  for (const [filter, topic, matches] of CASES) {
    t.equal(topicMatches(filter, topic), matches, `${filter} ${matches ? 'takes' : 'leaves'} ${topic}`);
  }
});

t.test('refuses what is not a filter or not a topic name', async (t) => {
  for (const filter of [
    '',
    'sport/tennis#',
    'sport/#/ranking',
    'sport+',
    'a/b+/c',
    'a\0b',
    'x'.repeat(65_536),
  ]) {
    t.type(topicFilterProblem(filter), 'string', JSON.stringify(filter.slice(0, 20)));
  }
  for (const filter of ['#', '+', '/', '+/tennis/#', 'sport//#', 'a b', '$SYS/#']) {
    t.equal(topicFilterProblem(filter), null, filter);
  }
  for (const topic of ['', 'a/+', 'a/#', 'a\0', 'é'.repeat(32_768)]) {
    t.type(topicNameProblem(topic), 'string', JSON.stringify(topic.slice(0, 20)));
  }
  t.equal(topicNameProblem('plant/1/temp'), null);
});

t.test('a filter made from a topic by wildcards matches it; one with another level does not', async () => {
  const level = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'é'), maxLength: 3 });
  fc.assert(
    fc.property(fc.array(level, { minLength: 1, maxLength: 5 }), fc.nat(), fc.nat(5), (levels, mask, cut) => {
      const topic = levels.join('/');
      fc.pre(topic.length > 0);
      const single = levels.map((text, i) => ((mask >> i) & 1 ? '+' : text));
      const multi = [...single.slice(0, cut), '#'];
      const other = single.map((text, i) => (i === cut % levels.length ? 'z' : text));
      return (
        topicMatches(single.join('/'), topic) &&
        topicMatches(multi.join('/'), topic) &&
        !topicMatches(other.join('/'), topic) &&
        !topicMatches([...single, 'z'].join('/'), topic)
      );
    }),
  );
});
