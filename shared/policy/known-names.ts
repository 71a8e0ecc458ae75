/**
 * The known names of regions and certifications: a name outside these lists is probably misspelt. The policy
 * can extend both lists, because vendors open regions and auditors certify after a release. The known regions
 * are in the types of provider.
 */
import { nearest } from '../config/nearest.ts';

/** Certifications in the shipped price sheets, and those that gateway operators ask for most. */
const KNOWN_CERTIFICATIONS: readonly string[] = [
  'C5',
  'FedRAMP High',
  'FedRAMP Moderate',
  'GDPR',
  'HDS',
  'HIPAA',
  'IEC 62443',
  'ISO 27001',
  'ISO 27017',
  'ISO 27018',
  'ISO 27701',
  'ISO 9001',
  'PCI DSS',
  'SOC 1 Type II',
  'SOC 2 Type II',
  'SOC 3',
];

/** Null when the region is one of `known` or of `own`; otherwise the fix. */
export function regionHint(region: string, known: readonly string[], own: readonly string[]): string | null {
  if (known.includes(region) || own.includes(region)) return null;
  const guess = nearest(region, known);
  const declare = 'if it is right, name it in compliance.own_regions of the policy';
  return guess === null ? `check the name; ${declare}` : `did you mean "${guess}"? ${declare}`;
}

/** Null for a known certification, or one of `own`; otherwise the fix. */
export function certificationHint(name: string, own: readonly string[]): string | null {
  const known = [...KNOWN_CERTIFICATIONS, ...own];
  if (known.includes(name)) return null;
  const guess = nearest(name, known);
  const declare = 'if it is right, name it in compliance.own_certifications';
  return guess === null ? `check the name; ${declare}` : `did you mean "${guess}"? ${declare}`;
}
