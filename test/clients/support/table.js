// Live views as applications use them: the official client of views, and the official
// server library that feeds them.

import { HyperStack } from 'hyperstack-typescript';
import { Inbox } from './deadline.js';
import { StandardWebSocket } from './websocket.js';
import { serverLibrary } from './backend.js';

globalThis.WebSocket = StandardWebSocket;

const list = (view) => ({ mode: 'list', view });

// The stack that a code generator would have written for these views.
export const auctions = {
  name: 'auctions',
  url: '',
  views: {
    auction: { list: list('Auction/list'), state: { mode: 'state', view: 'Auction/state' } },
    derived: { top: list('Auction/top'), open: list('Auction/open'), best: list('Auction/best'), totals: list('Auction/totals') },
    empty: { list: list('Nothing/list') },
  },
};

export const definitions = [
  { id: 'Auction/top', source: 'Auction/list', sort: [{ field: 'bid.amount', order: 'desc' }], limit: 3 },
  { id: 'Auction/best', source: 'Auction/list', sort: [{ field: 'bid.amount', order: 'desc' }], limit: 1 },
  {
    id: 'Auction/open', source: 'Auction/list', filter: { field: 'status', op: 'eq', value: 'open' },
    sort: [{ field: 'title', order: 'asc' }], limit: 10, fields: ['title', 'status'],
  },
  { id: 'Auction/totals', source: 'Auction/list', aggregate: { n: { op: 'count' }, sum: { op: 'sum', field: 'bid.amount' } } },
];

// Feed is a backend that changes entities and reads views.
export class Feed {
  constructor(server) {
    this.library = serverLibrary(server);
  }

  async #post(path, body) {
    const response = await this.library.post({ path, body }).catch((error) => {
      throw Object.assign(new Error(`${path}: ${error.status} ${error.body}`), { status: error.status, body: error.body });
    });
    return response.json();
  }

  define(definition) {
    return this.#post('/views', definition);
  }

  // apply sends mutations as one batch and returns its seq.
  async apply(mutations, idempotencyKey) {
    const body = idempotencyKey ? { mutations, idempotency_key: idempotencyKey } : { mutations };
    return (await this.#post('/mutations', body)).seq;
  }

  patch(key, data, append) {
    return this.apply([{ entity: 'Auction', key, data, ...(append && { append }) }]);
  }

  delete(key) {
    return this.apply([{ entity: 'Auction', key, op: 'delete' }]);
  }

  revoke(jti) {
    return this.#post('/sessions/revoke', { jti });
  }

  async read(view, params = {}) {
    const response = await this.library.get({ path: `/views/${view}`, params });
    return response.json();
  }
}

// Viewer is one client of views, with everything it reports kept in inboxes.
export class Viewer {
  frames = new Inbox('frames');
  states = new Inbox('connection states');
  issues = new Inbox('socket issues');

  static async connect(server, options = {}) {
    const viewer = new Viewer();
    viewer.client = await HyperStack.connect(auctions, {
      url: viewsUrl(server), autoReconnect: false, reconnectIntervals: [100, 200, 400, 800, 1600, 3200], maxReconnectAttempts: 20, ...options,
    });
    viewer.client.onFrame(viewer.frames.push);
    viewer.client.onSocketIssue(viewer.issues.push);
    viewer.client.onConnectionStateChange((state, error) => viewer.states.push({ state, error }));
    await viewer.client.connect();
    return viewer;
  }

  get store() {
    return this.client.store;
  }

  // watch subscribes to a view for as long as the viewer lives.
  watch(view, options = {}) {
    return this.client.getSubscriptionRegistry().subscribe({ view, ...options });
  }

  // rows is what the client shows of a view, in its order, without cursors.
  rows(view) {
    return (this.store.getAllSync(view) ?? []).map(({ _seq, ...data }) => data);
  }

  keys(view) {
    return this.store.keys(view);
  }

  // frame resolves when a frame fits that arrived at or after index `from`.
  frame(fits, what, from = 0) {
    return this.frames.find(fits, what, { from });
  }

  // seen resolves when the change with this seq has arrived in the view.
  seen(view, seq) {
    return this.frames.find((frame) => frame.entity === view && frame.seq === seq, `${view} at ${seq}`);
  }

  snapshot(view, from = 0) {
    return this.frames.find((frame) => frame.op === 'snapshot' && frame.entity === view && frame.complete, `snapshot of ${view}`, { from });
  }

  connected(from = 0) {
    return this.states.find(({ state }) => state === 'connected', 'state "connected"', { from });
  }

  // drop loses the connection, as a network would.
  drop() {
    this.client.connection.ws.close();
  }

  close() {
    this.client.disconnect();
  }
}

export function viewsUrl(server) {
  return `ws://${server.host}:${server.port}/views/${server.app.key}`;
}

// metric reads one sample of the server's metrics.
export async function metric(server, name) {
  const text = await (await fetch(`${server.metricsUrl}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(name) && /[ {]/.test(line[name.length]));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
