// pusher-js in Node, with everything it reports kept in inboxes.

import PusherJS from 'pusher-js';
import { Inbox, within } from './deadline.js';

export class Subscriber {
  states = new Inbox('connection states');
  errors = new Inbox('connection errors');
  #channels = new Map();

  userEvents = new Inbox('user events');
  watched = new Inbox('watchlist events');

  // user becomes user_id and user_name at the authorization endpoints, where watchlist is for
  // signing in. tls is the port of a proxy that speaks TLS, path what the server is below.
  constructor(server, backend, { user = 'nobody', name = user, watchlist = [], tls, path } = {}) {
    this.pusher = new PusherJS(server.app.key, {
      cluster: '', // asked for by the library, unused with wsHost
      wsHost: server.host,
      wsPort: server.port,
      wssPort: tls,
      wsPath: path,
      forceTLS: tls !== undefined,
      enabledTransports: ['ws', 'wss'],
      channelAuthorization: {
        endpoint: `${backend.url}/pusher/auth`,
        transport: 'ajax',
        params: { user_id: user, user_name: name },
      },
      userAuthentication: {
        endpoint: `${backend.url}/pusher/user-auth`,
        transport: 'ajax',
        params: { user_id: user, user_name: name, watchlist: watchlist.join() },
      },
    });
    this.pusher.connection.bind('state_change', ({ current }) => this.states.push(current));
    this.pusher.connection.bind('error', (error) => this.errors.push(error));
  }

  static async connect(server, backend, options) {
    const subscriber = new Subscriber(server, backend, options);
    await subscriber.connected();
    return subscriber;
  }

  get socketId() {
    return this.pusher.connection.socket_id;
  }

  // connected resolves when the connection stands (again): a state seen at or after `from`.
  connected({ from = 0, ms } = {}) {
    return this.states.find((state) => state === 'connected', 'state "connected"', { from, ms });
  }

  // closedFor resolves when the connection has ended with this code, and is not to come back.
  async closedFor(code) {
    await this.errors.find((error) => (error?.error?.data ?? error?.data)?.code === code, `error ${code}`);
    await this.states.find((state) => state === 'disconnected', 'state "disconnected"');
  }

  // signIn resolves when the server has accepted the user, whose events go to userEvents and
  // watched.
  async signIn() {
    const { user } = this.pusher;
    user.bind_global((event, data) => this.userEvents.push({ event, data }));
    for (const state of ['online', 'offline']) user.watchlist.bind(state, (event) => this.watched.push(event));
    this.pusher.signin();
    await within(user.signinDonePromise, 'end of the sign-in');
    return user;
  }

  // follow subscribes and returns the channel with an inbox of { event, data }.
  follow(name) {
    let known = this.#channels.get(name);
    if (!known) {
      const inbox = new Inbox(name);
      const channel = this.pusher.subscribe(name);
      channel.bind_global((event, data) => inbox.push({ event, data }));
      known = new Followed(channel, inbox);
      this.#channels.set(name, known);
    }
    return known;
  }

  async join(name) {
    const followed = this.follow(name);
    await followed.subscribed();
    return followed;
  }

  leave(name) {
    this.pusher.unsubscribe(name);
    this.#channels.delete(name);
  }

  close() {
    this.pusher.disconnect();
  }
}

export class Followed {
  constructor(channel, inbox) {
    this.channel = channel;
    this.inbox = inbox;
  }

  subscribed({ from = 0, ms } = {}) {
    return this.event('pusher:subscription_succeeded', { from, ms });
  }

  event(name, { from = 0, ms } = {}) {
    return this.inbox.find((item) => item.event === name, `event ${name}`, { from, ms });
  }

  // next resolves to the next event of that name, with the metadata that only bind passes on.
  next(name) {
    const arrived = new Promise((resolve) => {
      const take = (data, meta) => {
        this.channel.unbind(name, take);
        resolve({ data, meta });
      };
      this.channel.bind(name, take);
    });
    return within(arrived, `next ${name} in ${this.channel.name}`);
  }

  // named is what has arrived so far under one name.
  named(name) {
    return this.inbox.items.filter((item) => item.event === name).map((item) => item.data);
  }
}
