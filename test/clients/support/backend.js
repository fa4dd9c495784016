// An application's backend, as its owner would write it with the official server library: a
// authorization endpoints for channels and users, and the page on which browsers load pusher-js.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import PusherServer from 'pusher';

const require = createRequire(import.meta.url);
export const masterKey = Buffer.alloc(32, 'millrace test master key').toString('base64');

const files = {
  '/': [new URL('./browser.html', import.meta.url), 'text/html; charset=utf-8'],
  '/pusher.js': [require.resolve('pusher-js/dist/web/pusher.js'), 'text/javascript'],
  '/pusher-with-encryption.js': [require.resolve('pusher-js/dist/web/pusher-with-encryption.js'), 'text/javascript'],
};

export function serverLibrary(server, overrides = {}) {
  return new PusherServer({
    appId: server.app.id,
    key: server.app.key,
    secret: server.app.secret,
    host: server.host,
    port: server.port,
    useTLS: false,
    encryptionMasterKeyBase64: masterKey,
    ...overrides,
  });
}

export class Backend {
  withoutMember = new Set(); // presence channels that are signed without channel_data
  numbers = new Set(); // users whose ids are signed as numbers
  channelData = {}; // by channel: what is signed with it and passed on to the server

  // start runs a backend that signs with the Node library, or with another signer.
  static async start(server, { signer } = {}) {
    const backend = new Backend();
    backend.pusher = serverLibrary(server);
    backend.signer = signer;
    backend.stranger = serverLibrary(server, { secret: 'not-the-secret' });
    backend.http = createServer((request, response) => backend.#handle(request, response));
    backend.http.listen(0, '127.0.0.1');
    await once(backend.http, 'listening');
    backend.url = `http://127.0.0.1:${backend.http.address().port}`;
    return backend;
  }

  stop() {
    this.http.closeAllConnections();
    return new Promise((resolve) => this.http.close(resolve));
  }

  async #handle(request, response) {
    const { pathname } = new URL(request.url, this.url);
    if (request.method === 'POST' && pathname === '/pusher/auth') {
      await this.#authorize(new URLSearchParams(await text(request)), response);
      return;
    }
    if (request.method === 'POST' && pathname === '/pusher/user-auth') {
      await this.#authenticate(new URLSearchParams(await text(request)), response);
      return;
    }
    const file = files[pathname];
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': file[1] }).end(await readFile(file[0]));
  }

  // Users whose id says "forged" are signed with a wrong secret.
  async #authenticate(form, response) {
    const id = form.get('user_id');
    const user = { id, user_info: { name: form.get('user_name') ?? id } };
    const watchlist = form.get('watchlist');
    if (watchlist) user.watchlist = watchlist.split(',');
    const signer = id.includes('forged') ? this.stranger : this.signer ?? this.pusher;
    const answer = await signer.authenticateUser(form.get('socket_id'), user);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  // Channels whose name says "forged" are signed with a wrong secret, "forbidden" ones not at all.
  async #authorize(form, response) {
    const channel = form.get('channel_name');
    if (channel.includes('forbidden')) {
      response.writeHead(403, { 'content-type': 'text/plain' }).end('Forbidden');
      return;
    }
    const id = form.get('user_id');
    const member = channel.startsWith('presence-') && !this.withoutMember.has(channel)
      ? { user_id: this.numbers.has(id) ? Number(id) : id, user_info: { name: form.get('user_name') ?? id } }
      : undefined;
    const signer = channel.includes('forged') ? this.stranger : this.signer ?? this.pusher;
    const answer = await signer.authorizeChannel(form.get('socket_id'), channel, member ?? this.channelData[channel]);
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }
}

async function text(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
