// The official Go server library, as an application's backend would use it: bin/library-go does
// with it what it is told (test/libraries/go).

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { masterKey } from './backend.js';
import { within } from './deadline.js';

const binary = process.env.LIBRARY_GO_BIN ?? fileURLToPath(new URL('../../../bin/library-go', import.meta.url));

export class GoLibrary {
  #child;
  #answers;

  constructor(server, { key = masterKey } = {}) {
    const { id, key: appKey, secret } = server.app;
    this.#child = spawn(
      binary,
      ['-host', `${server.host}:${server.port}`, '-app-id', id, '-key', appKey, '-secret', secret, '-master-key', key],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  // call resolves to what a function of the library returns, or fails with its error. The
  // answers come in the order of the calls.
  async call(what, members = {}) {
    this.#child.stdin.write(`${JSON.stringify({ do: what, ...members })}\n`);
    const { value } = await within(this.#answers.next(), `answer of the Go library to ${what}`);
    const { result, error } = JSON.parse(value);
    if (error) throw new Error(error);
    return result;
  }

  // authorizeChannel and authenticateUser have the parameters of the Node library's.
  authorizeChannel(socketId, channel, member) {
    const form = new URLSearchParams({ socket_id: socketId, channel_name: channel });
    return this.call('authorizeChannel', { form: form.toString(), member });
  }

  authenticateUser(socketId, user) {
    return this.call('authenticateUser', { form: new URLSearchParams({ socket_id: socketId }).toString(), user_data: user });
  }

  // webhook resolves to the events that the library reads, or fails with why it cannot.
  async webhook({ rawHeaders, rawBody }) {
    const header = {};
    for (let i = 0; i < rawHeaders.length; i += 2) (header[rawHeaders[i]] ??= []).push(rawHeaders[i + 1]);
    return this.call('webhook', { header, body: rawBody });
  }

  async stop() {
    const exited = once(this.#child, 'exit');
    this.#child.stdin.end();
    await within(exited, 'end of the Go library');
  }
}
