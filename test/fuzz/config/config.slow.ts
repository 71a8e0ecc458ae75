import t from 'tap';
import { survivesDocuments } from './survives-documents.ts';

/** 100,000 take ten minutes. */
const DOCUMENTS = Number(process.env['HEADGATE_DOCUMENTS'] ?? 20_000);

t.test(`${DOCUMENTS} documents`, async (t) => {
  await survivesDocuments(t, DOCUMENTS);
});
