/** Checks the OCSP responses that TLS listeners staple, on this machine. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { systemClock } from '../../shared/clock.ts';
import { judgeOcspResponse } from '../../shared/ocsp/response.ts';
import { expiryProblem } from '../../shared/ocsp/stapling.ts';
import { pemBlocks } from '../../shared/tls-files.ts';
import { type Entry, type Finding, text } from './finding.ts';

/** `entry`: a listener of agent.yaml, or an `https` source of router.yaml. */
export function ocspFindings(entry: Entry): Finding[] {
  const [file, certFile] = [text(entry['ocsp_file']), text(entry['cert_file'])];
  if (file === null || certFile === null) return [];
  const problem = problemOf(file, [certFile, text(entry['client_ca_file'])]);
  if (problem === null) return [];
  const hint = 'make it anew: openssl ocsp … -respout; docs/security/own-ca.md has the command';
  return [{ path: ['ocsp_file'], message: `the response would not be stapled: ${problem}`, hint }];
}

/** Null for files that cannot be read: the check of files reports them. */
function problemOf(file: string, certificateFiles: ReadonlyArray<string | null>): string | null {
  const nowMs = systemClock.wallMs();
  try {
    const texts = certificateFiles.map((one) => (one === null ? '' : readFileSync(one, 'utf8')));
    const certificates = pemBlocks(texts.join('\n')).map((pem) => new X509Certificate(pem));
    const verdict = judgeOcspResponse(readFileSync(file), certificates, nowMs);
    return verdict.isGood ? expiryProblem(verdict.untilMs, nowMs) : verdict.problem;
  } catch {
    return null;
  }
}
