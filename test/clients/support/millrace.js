// The real binary as a child process, on ports that nobody uses.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Inbox, within } from './deadline.js';

export const binary = process.env.SERVER_BIN ?? fileURLToPath(new URL('../../../bin/millrace', import.meta.url));
const host = '127.0.0.1';

// The suites decide how the server is set up, not whoever runs them.
export const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('MILLRACE_')));
const running = new Set();
const folders = [];

// What is started is stopped, however this process ends.
process.on('exit', () => {
  running.forEach((child) => child.kill('SIGKILL'));
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

// A port below the range from which clients draw theirs, so that a restart finds it free.
export async function freePort() {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    const probe = createServer();
    const free = await new Promise((resolve) => {
      probe.once('error', () => resolve(false)).listen({ port, host, exclusive: true }, () => resolve(true));
    });
    if (free) {
      await new Promise((resolve) => probe.close(resolve));
      return port;
    }
  }
}

export class Millrace {
  app = { id: 'app-id', key: 'app-key', secret: 'app-secret' };
  host = host;
  log = new Inbox('the log');
  #child = null;

  // start runs a server with the given arguments, after variables if the first is a table of them.
  // Its data lives until the process that tests ends, so that a server that is started again finds it.
  static async start(...args) {
    const server = new Millrace();
    server.environment = typeof args[0] === 'object' ? args.shift() : {};
    server.args = args;
    server.folder = mkdtempSync(join(tmpdir(), 'millrace-'));
    folders.push(server.folder);
    await server.#startSomewhere();
    return server;
  }

  // A port that was free may be taken by another suite before the server listens on it.
  async #startSomewhere(attempts = 5) {
    this.port = await freePort();
    this.metricsPort = await freePort();
    try {
      await this.start();
    } catch (error) {
      if (attempts === 1 || !error.message.includes('address already in use')) throw error;
      await this.#startSomewhere(attempts - 1);
    }
  }

  // configured runs a server with a configuration file; app is the first app in it.
  static async configured(toml, app) {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-'));
    folders.push(folder);
    const file = join(folder, 'millrace.toml');
    writeFileSync(file, toml);
    const server = await Millrace.start('--config', file);
    server.app = app;
    return server;
  }

  get url() {
    return `http://${host}:${this.port}`;
  }

  get metricsUrl() {
    return `http://${host}:${this.metricsPort}`;
  }

  async start() {
    const child = spawn(
      binary,
      ['serve', '--listen', `${host}:${this.port}`, ...this.args],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...environment, MILLRACE_METRICS_LISTEN: `${host}:${this.metricsPort}`, MILLRACE_STORE_PATH: this.folder, ...this.environment } },
    );
    running.add(child);
    child.once('exit', () => running.delete(child));
    const failed = once(child, 'exit').then(([code]) => {
      throw new Error(`the server ended with ${code} before it listened: ${JSON.stringify(this.log.items)}`);
    });
    failed.catch(() => {});
    const from = this.log.items.length;
    createInterface({ input: child.stderr }).on('line', (line) => this.log.push(readLog(line)));
    const listening = this.log.find(
      ({ msg, addr }) => /^(listening|serving)$/.test(msg) && String(addr).endsWith(`:${this.port}`), 'address', { from },
    );
    listening.catch(() => {});
    this.#child = child;
    await Promise.race([listening, failed]);
  }

  // end sends a signal and resolves to the exit code once the process is gone.
  async end(signal) {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [code] = await within(exited, `end of the server after ${signal}`);
    return code;
  }

  stop() {
    return this.end('SIGTERM');
  }

  // kill leaves the server no time for anything.
  kill() {
    return this.end('SIGKILL');
  }
}

function readLog(line) {
  try {
    return JSON.parse(line);
  } catch {
    return { msg: line };
  }
}
