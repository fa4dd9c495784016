// Our client of Protocol V2, with everything it reports kept in inboxes.

import { Client } from '../../../clients/js/dist/index.js';
import { msgpack } from '../../../clients/js/dist/codec/msgpack.js';
import { protobuf } from '../../../clients/js/dist/codec/protobuf.js';
import { Inbox } from './deadline.js';

export const codecs = [undefined, msgpack, protobuf]; // the client's own is JSON

export class V2Client {
  states = new Inbox('states');
  errors = new Inbox('errors');

  constructor(server, backend, { user = 'someone', watchlist = [], ...options } = {}) {
    const ask = (path, form) => fetch(backend.url + path, {
      method: 'POST', body: new URLSearchParams({ user_id: user, user_name: user, watchlist: watchlist.join(), ...form }),
    }).then((answer) => answer.json());
    this.client = new Client({
      url: `ws://${server.host}:${server.port}`,
      key: server.app.key,
      backoff: { initial: 50 },
      authorize: ({ socketId, channel }) => ask('/pusher/auth', { socket_id: socketId, channel_name: channel }),
      authenticate: ({ socketId }) => ask('/pusher/user-auth', { socket_id: socketId }),
      ...options,
    });
    this.client.on('state', this.states.push);
    this.client.on('error', this.errors.push);
    this.client.connect();
  }

  // joined is a subscription that the server has acknowledged, with inboxes of what it reports.
  async joined(channel, options) {
    const subscription = this.client.subscribe(channel, options);
    const inboxes = { messages: new Inbox(`messages of ${channel}`), reports: new Inbox(`reports of ${channel}`) };
    subscription.listen(inboxes.messages.push);
    for (const report of ['gap', 'subscribed', 'cache_miss', 'member_added', 'member_removed']) {
      subscription.on(report, (value) => inboxes.reports.push({ report, value }));
    }
    await subscription.ready();
    return Object.assign(inboxes, { subscription });
  }

  close() {
    this.client.disconnect();
  }
}

// named resolves to the first message of an event.
export function named(joined, event) {
  return joined.messages.find((message) => message.event === event, event);
}

// reported resolves to the value of the first report of a kind.
export async function reported(joined, report, options) {
  return (await joined.reports.find((item) => item.report === report, report, options)).value;
}
