// Capability tokens: the one a connection opens with, and those that replace it in time (v2 13, items 4 and 5).

import { isRecord, parseOrText } from './codec/envelope.js';
import { ClientError } from './errors.js';
import type { Session } from './session.js';

/** TokenSource is a token, or a function that gets a fresh one from the application. */
export type TokenSource = string | (() => string | Promise<string>);

const longestAhead = 60_000;
const shortest = 1_000;
const afterFailure = 5_000;

export class Tokens {
  #last: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly source: TokenSource, readonly report: (error: ClientError) => void) {}

  async next(): Promise<string> {
    this.#last = typeof this.source === 'string' ? this.source : await this.source();
    return this.#last;
  }

  /** keep replaces the token of a session before it expires, until the session ends. */
  keep(session: Session): void {
    session.onEnd(() => clearTimeout(this.#timer));
    this.#schedule(session);
  }

  // #schedule counts from now by the claims of the token, so that a wrong clock does no harm.
  #schedule(session: Session): void {
    const lifetime = typeof this.source === 'string' ? undefined : lifetimeOf(this.#last);
    clearTimeout(this.#timer);
    if (lifetime === undefined || !session.isOpen) return;
    this.#refreshIn(session, Math.max(shortest, lifetime - Math.min(longestAhead, lifetime / 2)));
  }

  #refreshIn(session: Session, delay: number): void {
    clearTimeout(this.#timer);
    if (session.isOpen) this.#timer = setTimeout(() => void this.#refresh(session), delay);
  }

  async #refresh(session: Session): Promise<void> {
    try {
      session.send('auth', { token: await this.next() });
      this.#schedule(session);
    } catch (cause) {
      this.report(new ClientError('authorization', 'no fresh token', { cause }));
      this.#refreshIn(session, afterFailure);
    }
  }

  /** expired reads token_expired: the server ends the connection soon if no other token comes. */
  expired(session: Session, data: unknown): void {
    const { code, reason } = isRecord(data) ? data : {};
    this.report(new ClientError(typeof code === 'number' ? code : 'unknown', String(reason ?? 'the token is no longer valid')));
    if (typeof this.source !== 'string') this.#refreshIn(session, 0);
  }
}

// lifetimeOf is the time in milliseconds that a token is valid for, by its claims.
function lifetimeOf(token: string | undefined): number | undefined {
  try {
    const claims = parseOrText(atob((token ?? '').split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/')));
    const { iat, exp } = isRecord(claims) ? claims : {};
    return typeof iat === 'number' && typeof exp === 'number' ? (exp - iat) * 1000 : undefined;
  } catch {
    return undefined;
  }
}
