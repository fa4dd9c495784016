// Signing a connection in as a user, again on each connection (pusher 4.1).

import { isRecord } from './codec/envelope.js';
import { readData } from './connection.js';
import { ClientError } from './errors.js';
import type { Session } from './session.js';

/** Authenticator gets the signed user data from the application's backend. */
export type Authenticator = (request: { socketId: string }) => Promise<{ auth: string; user_data: string }>;

export interface User {
  id: string;
  [member: string]: unknown;
}

interface Waiter {
  resolve(user: User): void;
  reject(error: unknown): void;
}

export class SignIn {
  user: User | undefined;
  // isWanted is true from the first request on: each later connection signs in by itself.
  isWanted = false;
  #waiters: Waiter[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly authenticate: Authenticator | undefined, readonly timeout: number) {}

  /** outcome resolves or fails with the next sign-in. */
  outcome(): Promise<User> {
    this.isWanted = true;
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  get isPending(): boolean {
    return this.#timer !== undefined;
  }

  /** run signs a session in. */
  async run(session: Session): Promise<User> {
    session.onEnd(() => this.refused(new ClientError('closed', 'the connection ended before the sign-in')));
    const outcome = this.outcome();
    outcome.catch(() => {}); // it may fail before it is returned
    try {
      if (!this.authenticate) throw new TypeError('the option authenticate is missing');
      const { auth, user_data } = await this.authenticate({ socketId: session.socketId });
      if (session.isOpen) {
        this.#timer = setTimeout(() => this.refused(new ClientError('timeout', 'no answer to the sign-in')), this.timeout);
        session.send('signin', { auth, user_data });
      }
    } catch (cause) {
      if (session.isOpen) this.refused(new ClientError('authorization', `no signature for the user: ${String(cause)}`, { cause }));
    }
    return outcome;
  }

  /** succeeded reads signin_success and gives the user. */
  succeeded(data: unknown): User | undefined {
    const user = isRecord(data) ? readData(data['user_data']) : undefined;
    const id = isRecord(user) ? user['id'] : undefined;
    if (typeof id !== 'string' && typeof id !== 'number') {
      this.refused(new ClientError('frame', 'signin_success without the id of the user'));
      return undefined;
    }
    const signedIn = { ...(user as object), id: String(id) };
    this.user = signedIn;
    this.#settle((waiter) => waiter.resolve(signedIn));
    return signedIn;
  }

  refused(error: ClientError): void {
    this.user = undefined;
    this.#settle((waiter) => waiter.reject(error));
  }

  #settle(call: (waiter: Waiter) => void): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiters.splice(0).forEach(call);
  }
}
