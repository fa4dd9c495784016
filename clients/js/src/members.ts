// The members of a presence channel, by user id (pusher 2.7).

import { isRecord } from './codec/envelope.js';

export interface Member {
  id: string;
  info: unknown;
}

export class Members {
  readonly #infos = new Map<string, unknown>();

  /** me is the id of the member that this connection is. */
  me: string | undefined;

  get all(): ReadonlyMap<string, unknown> {
    return this.#infos;
  }

  // replace takes the set of an acknowledged subscription.
  /** @internal */
  replace(data: unknown): void {
    const presence = isRecord(data) && isRecord(data['presence']) ? data['presence'] : {};
    this.#infos.clear();
    const hash = isRecord(presence['hash']) ? presence['hash'] : {};
    for (const [id, info] of Object.entries(hash)) this.#infos.set(id, info);
  }

  /** @internal */
  add(data: unknown): Member | undefined {
    const id = userIdOf(data);
    if (id === undefined) return undefined;
    const member = { id, info: (data as Record<string, unknown>)['user_info'] ?? {} };
    this.#infos.set(id, member.info);
    return member;
  }

  /** @internal */
  remove(data: unknown): Member | undefined {
    const id = userIdOf(data);
    if (id === undefined) return undefined;
    const member = { id, info: this.#infos.get(id) };
    return this.#infos.delete(id) ? member : undefined;
  }
}

/** userIdOf is the user_id of an object as text. */
export function userIdOf(data: unknown): string | undefined {
  const id = isRecord(data) ? data['user_id'] : undefined;
  return typeof id === 'string' || typeof id === 'number' ? String(id) : undefined;
}
