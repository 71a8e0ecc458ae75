/**
 * Whether an OCSP response (RFC 6960, in DER) may be stapled to a certificate: it is about this certificate,
 * says `good`, is signed by the certificate's authority or by a responder of that authority, and has an end.
 */
import { createHash, verify, X509Certificate } from 'node:crypto';
import {
  type BaseBlock,
  BitString,
  Constructed,
  fromBER,
  GeneralizedTime,
  ObjectIdentifier,
  type Primitive,
} from 'asn1js';

const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';

/** RFC 6960, section 4.2.1. */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  1: 'malformedRequest',
  2: 'internalError',
  3: 'tryLater',
  5: 'sigRequired',
  6: 'unauthorized',
};

/** Hashes of certificate ids; RFC 3279 and RFC 5754. */
const HASHES: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** Signatures, each with its hash, null where the algorithm has its own; RFC 4055, RFC 5758 and RFC 8410. */
const SIGNATURES: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
};

/** `problem`: why the response must not be stapled. `untilMs`: wall time after which it has run out. */
export type OcspVerdict = { isGood: true; untilMs: number } | { isGood: false; problem: string };

class Unfit extends Error {}

/**
 * `certificates`: the server's, then any that may be its issuer. Times are not compared with the clock,
 * except for the end of a responder's certificate.
 */
export function judgeOcspResponse(
  response: Uint8Array,
  certificates: readonly X509Certificate[],
  nowMs: number,
): OcspVerdict {
  try {
    return { isGood: true, untilMs: judged(response, certificates, nowMs) };
  } catch (error) {
    const problem = error instanceof Unfit ? error.message : 'it is not an OCSP response in DER';
    return { isGood: false, problem };
  }
}

function judged(response: Uint8Array, certificates: readonly X509Certificate[], nowMs: number): number {
  const [server, ...others] = certificates;
  const issuer = others.find((one) => server?.checkIssued(one) && server.verify(one.publicKey));
  if (server === undefined || issuer === undefined)
    throw new Unfit('the issuer of the certificate is not known: append it to cert_file');
  const [data, algorithm, signature, signers] = basicResponse(response);
  const single = singleResponses(data).find((one) => isAbout(one, server, issuer));
  if (single === undefined) throw new Unfit('it is about another certificate');
  const [, status, , ...optional] = childrenOf(single);
  const state = ['good', 'revoked', 'unknown'][tagOf(status)];
  if (state !== 'good') throw new Unfit(`it says that the certificate is ${state}`);
  const signed = {
    data: rawOf(data),
    algorithm: oidOf(childrenOf(algorithm)[0]),
    signature: bitsOf(signature),
  };
  if (
    ![issuer, ...respondersOf(signers, issuer, nowMs)].some(({ publicKey }) => isSignedBy(signed, publicKey))
  )
    throw new Unfit('it is not signed by the issuer of the certificate, or by a responder of that issuer');
  const next = optional.find((one) => tagOf(one) === 0);
  if (next === undefined) throw new Unfit('it has no end (nextUpdate): make it with a number of days');
  const [end] = childrenOf(next);
  if (!(end instanceof GeneralizedTime)) throw new Error('no time');
  return end.toDate().getTime();
}

/** The parts of BasicOCSPResponse. */
function basicResponse(response: Uint8Array): BaseBlock[] {
  const [status, holder] = childrenOf(parsed(response));
  const code = bytesOf(status)[0] ?? 0;
  if (code !== 0) throw new Unfit(`the responder answered ${STATUS_NAMES[code] ?? code}`);
  const [bytes] = childrenOf(holder);
  const [type, basic] = childrenOf(bytes);
  if (oidOf(type) !== BASIC_RESPONSE) throw new Unfit('it is of an unknown type');
  return childrenOf(parsed(bytesOf(basic)));
}

/** The list follows the responder's name and the time; a version may stand before, extensions after. */
function singleResponses(data: BaseBlock | undefined): BaseBlock[] {
  const parts = childrenOf(data);
  const time = parts.findIndex((part) => part instanceof GeneralizedTime);
  return childrenOf(parts[time + 1]);
}

/** CertID: the hashes of the issuer's name and key, and the serial number. */
function isAbout(single: BaseBlock, server: X509Certificate, issuer: X509Certificate): boolean {
  const [algorithm, name, key, serial] = childrenOf(childrenOf(single)[0]);
  const hash = HASHES[oidOf(childrenOf(algorithm)[0])];
  if (hash === undefined) return false;
  const digest = (bytes: Uint8Array): Buffer => createHash(hash).update(bytes).digest();
  const own = certificateParts(server);
  const [, keyBits] = childrenOf(certificateParts(issuer).key);
  return (
    digest(rawOf(own.issuer)).equals(bytesOf(name)) &&
    digest(bitsOf(keyBits)).equals(bytesOf(key)) &&
    Buffer.from(bytesOf(own.serial)).equals(bytesOf(serial))
  );
}

/** Of TBSCertificate; RFC 5280, section 4.1. The version may be left out. */
function certificateParts({ raw }: X509Certificate) {
  const all = childrenOf(childrenOf(parsed(raw))[0]);
  const [serial, , issuer, , , key] = tagClassOf(all[0]) === CONTEXT ? all.slice(1) : all;
  return { serial, issuer, key };
}

/** Certificates in the response that the issuer lets sign for it (RFC 6960, section 4.2.2.2). */
function respondersOf(
  holder: BaseBlock | undefined,
  issuer: X509Certificate,
  nowMs: number,
): X509Certificate[] {
  if (holder === undefined) return [];
  return childrenOf(childrenOf(holder)[0])
    .map((one) => new X509Certificate(rawOf(one)))
    .filter(
      (one) =>
        one.checkIssued(issuer) &&
        one.verify(issuer.publicKey) &&
        one.keyUsage?.includes(OCSP_SIGNING) === true &&
        one.validToDate.getTime() > nowMs,
    );
}

interface Signed {
  data: Uint8Array;
  algorithm: string;
  signature: Uint8Array;
}

function isSignedBy({ data, algorithm, signature }: Signed, key: X509Certificate['publicKey']): boolean {
  const hash = SIGNATURES[algorithm];
  if (hash === undefined) throw new Unfit(`it is signed by an unknown algorithm, ${algorithm}`);
  try {
    return verify(hash, data, key, signature);
  } catch {
    return false; // The key is of another kind than the algorithm.
  }
}

const CONTEXT = 3;

function parsed(bytes: Uint8Array): BaseBlock {
  const { result, offset } = fromBER(bytes);
  if (offset !== bytes.length) throw new Error('no single DER value');
  return result;
}

function childrenOf(block: BaseBlock | undefined): BaseBlock[] {
  if (!(block instanceof Constructed)) throw new Error('no constructed value');
  return block.valueBlock.value;
}

function tagOf(block: BaseBlock | undefined): number {
  return tagClassOf(block) === CONTEXT ? (block?.idBlock.tagNumber ?? -1) : -1;
}

function tagClassOf(block: BaseBlock | undefined): number {
  return block?.idBlock.tagClass ?? -1;
}

/** With tag and length. */
function rawOf(block: BaseBlock | undefined): Uint8Array {
  if (block === undefined) throw new Error('a value is missing');
  return block.valueBeforeDecodeView;
}

function bytesOf(block: BaseBlock | undefined): Uint8Array {
  const value = (block as Primitive | undefined)?.valueBlock;
  if (!(value?.valueHexView instanceof Uint8Array)) throw new Error('a value is missing');
  return value.valueHexView;
}

function bitsOf(block: BaseBlock | undefined): Uint8Array {
  if (!(block instanceof BitString)) throw new Error('no bit string');
  return block.valueBlock.valueHexView;
}

function oidOf(block: BaseBlock | undefined): string {
  if (!(block instanceof ObjectIdentifier)) throw new Error('no object identifier');
  return block.valueBlock.toString();
}
