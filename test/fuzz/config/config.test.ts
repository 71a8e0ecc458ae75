/** Hostile configuration files in short; config.slow.ts loads more. */
import t from 'tap';
import { survivesDocuments } from './survives-documents.ts';

const DOCUMENTS = 300;

t.test(`${DOCUMENTS} documents`, async (t) => {
  await survivesDocuments(t, DOCUMENTS);
});
