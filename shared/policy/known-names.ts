/**
 * Names that a policy or a provider may use, as far as they are known: a name outside these lists is mostly a
 * slip of the pen. Both lists can be extended in the policy, since vendors open regions and auditors certify
 * after a release. The known regions stand with the types of provider.
 */
import { nearest } from '../config/nearest.ts';

/** Certifications of the price sheets that ship, and those that operators of gateways ask for most. */
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

/** Null when the region is one of `known` or of `own`; otherwise how to mend it. */
export function regionHint(region: string, known: readonly string[], own: readonly string[]): string | null {
  if (known.includes(region) || own.includes(region)) return null;
  const guess = nearest(region, known);
  const declare = 'if it is right, name it in compliance.own_regions of the policy';
  return guess === null ? `check the name; ${declare}` : `did you mean "${guess}"? ${declare}`;
}

/** Null when the certification is known, or is one of `own`; otherwise how to mend it. */
export function certificationHint(name: string, own: readonly string[]): string | null {
  const known = [...KNOWN_CERTIFICATIONS, ...own];
  if (known.includes(name)) return null;
  const guess = nearest(name, known);
  const declare = 'if it is right, name it in compliance.own_certifications';
  return guess === null ? `check the name; ${declare}` : `did you mean "${guess}"? ${declare}`;
}
