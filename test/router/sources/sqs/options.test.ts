import t from 'tap';
import { sqsOptions } from '../../../../router/sources/sqs/options.ts';

const parses = (url: string): boolean =>
  sqsOptions.safeParse({ region: 'eu-west-1', queue_url: url }).success &&
  sqsOptions.safeParse({ region: 'eu-west-1', queue_url: 'https://a/b', endpoint: url }).success;

t.test('http is for a queue on this machine alone', async (t) => {
  for (const url of [
    'https://sqs.eu-west-1.amazonaws.com/1/q',
    'http://127.0.0.1:4566/1/q',
    'http://localhost:5000/q',
  ])
    t.ok(parses(url), url);
  for (const url of [
    'http://sqs.eu-west-1.amazonaws.com/1/q',
    'http://127.0.0.1.example/q',
    'ftp://localhost/q',
  ])
    t.notOk(parses(url), url);
});
