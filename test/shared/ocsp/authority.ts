/** An authority, certificates and OCSP responses made by openssl, in a folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

const KEY = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';

const CONFIG = `[ca]
default_ca = plant
[plant]
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.crt
private_key = ca.key
default_md = sha256
default_days = 30
policy = subject
unique_subject = no
[subject]
commonName = supplied
[server]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
[ocsp]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = OCSPSigning
`;

interface Answering {
  /** The certificate that the response is about. Default: server. */
  about?: string;
  /** The signer. Default: the authority. */
  signer?: string;
  /** Options of openssl ocsp. Default: an end after a day. */
  more?: string;
}

export class Authority {
  readonly dir: string;

  constructor(t: Test) {
    // Beside the test's own folder, which its fixtures empty.
    this.dir = mkdtempSync(join(tmpdir(), 'headgate-authority-'));
    t.teardown(() => rmSync(this.dir, { recursive: true, force: true }));
    const texts = { 'ca.conf': CONFIG, 'index.txt': '', serial: '1000\n' };
    for (const [name, text] of Object.entries(texts)) writeFileSync(this.file(name), text);
    this.run(`openssl req -x509 ${KEY} -keyout ca.key -out ca.crt -days 30 -subj "/CN=Plant CA"`);
    this.certificate('server', 'server');
  }

  /** `name.crt` holds the certificate and the authority's, `name.key` the key. */
  certificate(name: string, extensions: 'server' | 'ocsp'): void {
    this.run(`openssl req -new ${KEY} -keyout ${name}.key -out ${name}.csr -subj "/CN=${name}"`);
    this.run(
      `openssl ca -batch -notext -config ca.conf -extensions ${extensions} -in ${name}.csr -out ${name}.pem`,
    );
    this.run(`cat ${name}.pem ca.crt > ${name}.crt`);
  }

  revoke(name: string): void {
    this.run(`openssl ca -config ca.conf -revoke ${name}.pem`);
  }

  /** Makes `file`, as a timer does: beside it, then in its place. */
  answer(file: string, { about = 'server', signer = 'ca', more = '-ndays 1' }: Answering = {}): void {
    this.run(
      `openssl ocsp -index index.txt -CA ca.crt -rsigner ${signer}.crt -rkey ${signer}.key -issuer ca.crt \
        -cert ${about}.pem -respout ${file}.new ${more} && mv ${file}.new ${file}`,
    );
  }

  file(name: string): string {
    return join(this.dir, name);
  }

  run(command: string): void {
    execFileSync('bash', ['-euc', command], { cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
