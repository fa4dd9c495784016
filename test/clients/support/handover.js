// The real binary on a socket that outlives it, as systemd holds it for a service.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { answered } from './deadline.js';
import { binary, environment, freePort } from './millrace.js';

const host = '127.0.0.1';

export class Handover {
  app = { id: 'app-id', key: 'app-key', secret: 'app-secret' };
  host = host;

  static async start() {
    const server = new Handover();
    server.port = await freePort();
    const holder = fileURLToPath(new URL('./holder.pl', import.meta.url));
    server.holder = spawn('perl', [holder, server.port, binary, 'serve'], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...environment, MILLRACE_METRICS_LISTEN: '', MILLRACE_STORE_DRIVER: 'memory' },
    });
    server.restart();
    await answered(() => fetch(`http://${host}:${server.port}/up`).then(({ ok }) => ok, () => false), 'answer of the server');
    return server;
  }

  // restart ends the server by SIGTERM, if it runs, and starts the next.
  restart() {
    this.holder.stdin.write('start\n');
  }

  async stop() {
    const exited = once(this.holder, 'exit');
    this.holder.stdin.end();
    await exited;
  }
}
