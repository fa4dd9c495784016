// Whoever operates a server: by the admin API, and by the commands of the binary.

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { serverLibrary } from './backend.js';
import { binary, environment } from './millrace.js';
import { waitLimit } from './deadline.js';

export const credentials = { key: 'operator', secret: 'operator-secret-of-16-bytes' };

export class Operator {
  constructor(server) {
    this.server = server;
    this.signer = serverLibrary(server, { appId: 'none', ...credentials });
  }

  // admin sends a request below /admin, signed by the official library.
  async admin(method, path, body) {
    const request = { method, path: `/admin${path}`, body: body && JSON.stringify(body), params: {} };
    if (method !== 'GET') request.params.nonce = randomUUID();
    const query = this.signer.createSignedQueryString(request);
    const response = await fetch(`${this.server.url}${request.path}?${query}`, {
      method, body: request.body, signal: AbortSignal.timeout(waitLimit),
    });
    const text = await response.text();
    return { status: response.status, ...(text && JSON.parse(text)) };
  }

  // apps is "millrace apps COMMAND".
  apps(...args) {
    const flags = ['--url', this.server.url, '--admin-key', credentials.key, '--admin-secret', credentials.secret];
    return run('apps', ...args, ...flags);
  }

  // command is any that looks after one app, with the credentials of the admin.
  command(...args) {
    const flags = ['--url', this.server.url, '--app', this.server.app.id, '--key', credentials.key, '--secret', credentials.secret];
    return run(...args, ...flags);
  }

  // lines is what a command says as JSON.
  async lines(...args) {
    const { stdout } = await this.command(...args, '--json');
    return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }
}

// run resolves to what a command says, however it ends.
function run(...args) {
  return new Promise((resolve) => {
    execFile(binary, args, { env: environment, timeout: waitLimit }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code ?? error.signal : 0, stdout, stderr });
    });
  });
}
