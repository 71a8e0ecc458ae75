/** Debian's tinyproxy on a port of its own, with a login, and what went through it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

const USER = 'edge';
const PASSWORD = 'tinysecret';

export class Tinyproxy {
  readonly #dir = mkdtempSync(join(tmpdir(), 'headgate-proxy-'));
  #port = 0;
  #process: ChildProcess | null = null;

  /** With its login. */
  get url(): string {
    return `http://${USER}:${PASSWORD}@127.0.0.1:${this.#port}`;
  }

  /** With a password that it refuses. */
  get wrongUrl(): string {
    return `http://${USER}:wrongsecret@127.0.0.1:${this.#port}`;
  }

  /** On the same port each time. Rejects when tinyproxy is not installed. */
  async start(): Promise<void> {
    this.#port ||= await freePort();
    const file = join(this.#dir, 'tinyproxy.conf');
    const lines = [
      `Port ${this.#port}`,
      'Listen 127.0.0.1',
      'Timeout 600',
      `LogFile "${this.#log}"`,
      'LogLevel Connect',
      'MaxClients 100',
      'Allow 127.0.0.1',
      `BasicAuth ${USER} ${PASSWORD}`,
    ];
    writeFileSync(file, `${lines.join('\n')}\n`);
    const child = spawn('tinyproxy', ['-d', '-c', file], { stdio: 'ignore' });
    this.#process = child;
    const failed = once(child, 'error').then(() => {
      throw new Error('tinyproxy does not start: apt-get install tinyproxy');
    });
    await Promise.race([failed, until('the proxy listens', () => this.#answers())]);
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'close');
  }

  /** Ends it for good, with its files. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.#dir, { recursive: true });
  }

  /** Targets of CONNECT, in order: `localhost:8883`. */
  tunnels(): string[] {
    const text = readFileSync(this.#log, 'utf8');
    return [...text.matchAll(/CONNECT (\S+:\d+) HTTP/g)].map(([, target = '']) => target);
  }

  get #log(): string {
    return join(this.#dir, 'tinyproxy.log');
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: this.#port });
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  }
}
