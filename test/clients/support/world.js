// One server, one backend and any number of clients. Whoever starts a world stops it.

import { Backend } from './backend.js';
import { Millrace } from './millrace.js';
import { Subscriber } from './subscriber.js';

let channels = 0;

export class World {
  #clients = [];

  static async start(...args) {
    return World.#around(await Millrace.start(...args));
  }

  // configured is a world whose server has a configuration file; app is the first app in it.
  static async configured(toml, app) {
    return World.#around(await Millrace.configured(toml, app));
  }

  static async #around(server) {
    const world = new World();
    world.server = server;
    world.backend = await Backend.start(server);
    return world;
  }

  get pusher() {
    return this.backend.pusher;
  }

  async client(options) {
    const client = await Subscriber.connect(this.server, this.backend, options);
    this.#clients.push(client);
    return client;
  }

  // fence is a publish that everybody in the channel receives after all that came before:
  // with it a test can tell that something did not arrive.
  async fence(channel, ...followers) {
    const name = `fence-${++channels}`;
    await this.pusher.trigger(channel, name, {});
    await Promise.all(followers.map((follower) => follower.event(name)));
  }

  async stop() {
    this.#clients.forEach((client) => client.close());
    await this.backend.stop();
    await this.server.stop();
  }
}

// fresh gives a channel name that no other test uses.
export function fresh(prefix) {
  return `${prefix}${process.pid}-${++channels}`;
}
