/** The signed documents of a fleet folder: who signed them, and what a gateway would accept. */
import { join } from 'node:path';
import type { ConfigProblem } from '../../shared/config/load.ts';
import {
  type Acceptance,
  accept,
  type FleetState,
  firstState,
  type Member,
} from '../../shared/fleet/core/acceptance.ts';
import { openDocument, readDocument } from '../../shared/fleet/core/content.ts';
import type { FleetDocument, Scope } from '../../shared/fleet/core/documents.ts';
import { type Refusal, refusalText } from '../../shared/fleet/core/refusal.ts';
import { fleetVerifier } from '../../shared/fleet/sign.ts';
import { filesOf, PLACES, readEnvelopeFile } from './folder.ts';
import { hintOf, isMistake } from './hints.ts';
import type { Row } from './row.ts';

interface Signed {
  /** Null without a first root that counts. */
  state: FleetState | null;
  rows: Row[];
  problems: ConfigProblem[];
}

/** Follows the roots of a folder from the first one that is there. `pinned`: the digest that it must have. */
export async function readRoots(folder: string, pinned: string | null): Promise<Signed> {
  const signed: Signed = { state: null, rows: [], problems: [] };
  const files = await filesOf(join(folder, PLACES.roots), '.json');
  for (const file of files) {
    const read = await readEnvelopeFile(file);
    if ('problem' in read) {
      addMistake(signed, file, { is: 'root', message: read.problem, hint: 'check the file and its mode' });
      continue;
    }
    const found = rootAfter(signed.state, read.text, pinned);
    if ('refusal' in found) addRefusal(signed, file, 'root', found.refusal);
    else {
      signed.state = found.state;
      addRow(signed, file, found);
    }
  }
  if (files.length === 0) {
    const hint =
      'headgate fleet init makes one; otherwise take the folder root from where the fleet was made';
    addMistake(signed, join(folder, PLACES.roots), { is: 'root', message: 'there is no root', hint });
  }
  return signed;
}

function rootAfter(state: FleetState | null, text: string, pinned: string | null): Acceptance {
  if (state === null) return firstState(text, pinned, fleetVerifier);
  return accept(state, text, { member: NOBODY, now: { synchronisedMs: null }, verifier: fleetVerifier });
}

const NOBODY: Member = { gateway: '', groups: [] };

/** Whose decisions to tell, and when. */
interface Deciding {
  member: Member;
  nowMs: number;
}

/** Reads signed files under the root in force; with `deciding`, as that gateway would take them. */
export async function readSigned(
  files: readonly string[],
  root: FleetState,
  deciding: Deciding | null,
): Promise<Signed> {
  const signed: Signed = { state: root, rows: [], problems: [] };
  const documents: Array<{
    file: string;
    text: string;
    document: FleetDocument;
    signedBy: readonly string[];
  }> = [];
  for (const file of files) {
    const read = await readEnvelopeFile(file);
    if ('problem' in read) {
      addMistake(signed, file, { is: '?', message: read.problem, hint: 'check the file and its mode' });
      continue;
    }
    const opened = openDocument(read.text);
    const found = 'refusal' in opened ? opened : readDocument(opened, root.trusted.root, fleetVerifier);
    if ('refusal' in found) addRefusal(signed, file, 'kind' in opened ? opened.kind : '?', found.refusal);
    else documents.push({ file, text: read.text, ...found });
  }
  if (deciding === null) for (const one of documents) addRow(signed, one.file, one);
  else decideAll(signed, documents, root, deciding);
  return signed;
}

/** In the order of an honest carrier: assignments and orders by sequence, then policies. */
function decideAll(
  signed: Signed,
  documents: ReadonlyArray<{
    file: string;
    text: string;
    document: FleetDocument;
    signedBy: readonly string[];
  }>,
  root: FleetState,
  { member, nowMs }: Deciding,
): void {
  const inOrder = documents.toSorted((a, b) => sequenceOf(a.document) - sequenceOf(b.document));
  let state = root;
  for (const { file, text, document, signedBy } of inOrder) {
    const decision = accept(state, text, { member, now: { synchronisedMs: nowMs }, verifier: fleetVerifier });
    if ('state' in decision) {
      state = decision.state;
      addRow(signed, file, { document, signedBy }, 'accepted');
    } else if (isMistake(decision.refusal))
      addRefusal(signed, file, nameOfDocument(document), decision.refusal);
    else addRow(signed, file, { document, signedBy }, `refused: ${refusalText(decision.refusal)}`);
  }
  signed.state = state;
}

function sequenceOf(document: FleetDocument): number {
  switch (document.kind) {
    case 'root':
      return 0;
    case 'assignment':
      return document.assignment.sequence;
    case 'order':
      return document.order.sequence;
    case 'policy':
      return Number.MAX_SAFE_INTEGER;
  }
}

function addRow(
  { rows }: Signed,
  file: string,
  { document, signedBy }: { document: FleetDocument; signedBy: readonly string[] },
  verdict = 'ok',
): void {
  rows.push({ file, is: nameOfDocument(document), digest: document.digest, signedBy, verdict });
}

function addRefusal(signed: Signed, file: string, is: string, refusal: Refusal): void {
  const field = refusal.reason === 'malformed' ? refusal.field : '';
  const message = refusal.reason === 'malformed' ? refusal.problem : refusalText(refusal);
  addMistake(signed, file, { is, message, hint: hintOf(refusal), field });
}

function addMistake(
  { rows, problems }: Signed,
  file: string,
  { is, message, hint, field = '' }: { is: string; message: string; hint: string; field?: string },
): void {
  rows.push({ file, is, digest: null, signedBy: [], verdict: 'mistake' });
  problems.push({ file, path: field, line: null, column: null, message, found: null, hint });
}

function nameOfDocument(document: FleetDocument): string {
  switch (document.kind) {
    case 'root':
      return `root ${document.root.version} of ${document.root.authority}, term ${document.root.term}`;
    case 'policy':
      return `policy ${document.body.policy.version}`;
    case 'assignment': {
      const { sequence, scope, digest } = document.assignment;
      return `assignment ${sequence} of ${scopeText(scope)}: ${digest.slice(0, 12)}`;
    }
    case 'order': {
      const { sequence, scope, action } = document.order;
      return `order ${sequence} of ${scopeText(scope)}: ${action.do}`;
    }
  }
}

function scopeText(scope: Scope): string {
  return 'group' in scope ? `group ${scope.group}` : `gateway ${scope.gateway}`;
}
