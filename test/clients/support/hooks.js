// The endpoint of an application's webhooks, as its owner would write it with the official server
// library: each request is verified and read by it.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { Inbox } from './deadline.js';

export class Hooks {
  requests = new Inbox('webhook requests');
  events = new Inbox('webhook events');
  library = null; // set before the first request
  failure = 0; // a status that it answers with instead of reading

  static async start() {
    const hooks = new Hooks();
    hooks.http = createServer((request, response) => hooks.#handle(request, response));
    hooks.http.listen(0, '127.0.0.1');
    await once(hooks.http, 'listening');
    hooks.url = `http://127.0.0.1:${hooks.http.address().port}/hook`;
    return hooks;
  }

  stop() {
    this.http.closeAllConnections();
    return new Promise((resolve) => this.http.close(resolve));
  }

  async #handle(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const rawBody = Buffer.concat(chunks).toString();
    const webhook = this.library.webhook({ headers: request.headers, rawBody });
    const isValid = webhook.isValid();
    const { headers, rawHeaders } = request;
    this.requests.push({ headers, rawHeaders, rawBody, isValid, time: webhook.getTime() });
    if (isValid && !this.failure) webhook.getEvents().forEach(this.events.push);
    response.writeHead(this.failure || (isValid ? 200 : 401)).end();
  }

  // event resolves to the first event of that name and, if given, with these fields.
  event(name, fields = {}) {
    return this.events.find(
      (event) => event.name === name && Object.entries(fields).every(([key, value]) => event[key] === value),
      `${name} ${JSON.stringify(fields)}`,
    );
  }
}
