/**
 * Names that a policy or a provider may use, as far as they are known: a name outside these lists is mostly a
 * slip of the pen. Both lists can be extended in the configuration, since vendors open regions and auditors
 * certify after a release.
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

/**
 * Regions by type of provider, for hints alone: vendors open regions after a release, and this list may lack
 * one. The vendors list theirs as AWS General Reference (IoT Core endpoints), Azure products by region (IoT
 * Hub) and Google Cloud locations (Pub/Sub).
 */
const KNOWN_REGIONS: Readonly<Record<string, readonly string[]>> = {
  aws: words(`af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1
    ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-7
    ca-central-1 ca-west-1 cn-north-1 cn-northwest-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1
    eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1
    us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 us-west-1 us-west-2`),
  azure: words(`australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral
    brazilsouth brazilsoutheast canadacentral canadaeast centralindia centralus chilecentral chinaeast
    chinaeast2 chinanorth chinanorth2 chinanorth3 eastasia eastus eastus2 francecentral francesouth
    germanynorth germanywestcentral indonesiacentral israelcentral italynorth japaneast japanwest
    jioindiacentral jioindiawest koreacentral koreasouth malaysiawest mexicocentral newzealandnorth
    northcentralus northeurope norwayeast norwaywest polandcentral qatarcentral southafricanorth
    southafricawest southcentralus southeastasia southindia spaincentral swedencentral swedensouth
    switzerlandnorth switzerlandwest uaecentral uaenorth uksouth ukwest usgovarizona usgovtexas
    usgovvirginia westcentralus westeurope westindia westus westus2 westus3`),
  gcp: words(`africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1
    asia-south2 asia-southeast1 asia-southeast2 australia-southeast1 australia-southeast2 europe-central2
    europe-north1 europe-north2 europe-southwest1 europe-west1 europe-west10 europe-west12 europe-west2
    europe-west3 europe-west4 europe-west6 europe-west8 europe-west9 me-central1 me-central2 me-west1
    northamerica-northeast1 northamerica-northeast2 northamerica-south1 southamerica-east1
    southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4`),
};

/** Null when the region is known, or providers of this type have none; otherwise how to mend it. */
export function regionHint(type: string, region: string, own: readonly string[]): string | null {
  const known = KNOWN_REGIONS[type];
  if (known === undefined || known.includes(region) || own.includes(region)) return null;
  const guess = nearest(region, known);
  const declare = `if it is right, name it in a zone of compliance.data_residency`;
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

function words(text: string): string[] {
  return text.split(/\s+/);
}
