/** The seam in the vendor's SDK: attached receivers are told, and credit is bounded by the prefetch (I10). */
import { EventHubConsumerClient } from '@azure/event-hubs';
import t from 'tap';
import { watchLinks } from '../../../../router/sources/event-hubs/links.ts';

const CONNECTION = 'Endpoint=sb://localhost/;SharedAccessKeyName=n;SharedAccessKey=k;EntityPath=hub';

t.test('the SDK has its connection where this version looks for it', async (t) => {
  const client = new EventHubConsumerClient('$Default', CONNECTION);
  t.doesNotThrow(() => watchLinks(client, 64, () => undefined));
  await client.close();
  t.throws(() => watchLinks({}, 64, () => undefined), /no _context/);
});

t.test('a link is given no more credit than the prefetch, whatever the SDK asks for', async (t) => {
  const link = {
    credit: 0,
    addCredit(count: number) {
      this.credit += count;
    },
  };
  const connection = { createReceiver: () => Promise.resolve(link) };
  let attached = 0;
  watchLinks({ _context: { connection } }, 64, () => {
    attached += 1;
  });
  await connection.createReceiver();
  t.equal(attached, 1);
  for (let batch = 0; batch < 100; batch += 1) {
    link.addCredit(64);
    link.credit -= 1;
  }
  t.equal(link.credit, 63, 'one event a batch: the link is topped up, not added to');
});
