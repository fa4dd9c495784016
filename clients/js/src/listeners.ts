// Functions that are called with what happens, by key.

export type Listener<V> = (value: V) => void;

/** Stop removes a listener. */
export type Stop = () => void;

export class Listeners<K, V> {
  readonly #byKey = new Map<K, Set<Listener<V>>>();

  add(key: K, listener: Listener<V>): Stop {
    const own: Listener<V> = (value) => listener(value); // so that a function that is added twice is called twice
    const set = this.#byKey.get(key) ?? new Set();
    this.#byKey.set(key, set.add(own));
    return () => {
      set.delete(own);
      if (set.size === 0 && this.#byKey.get(key) === set) this.#byKey.delete(key);
    };
  }

  /**
   * emit calls the listeners of a key. An error of a listener stops neither the others nor the client:
   * it becomes an uncaught error of the environment.
   */
  emit(key: K, value: V): void {
    for (const listener of [...(this.#byKey.get(key) ?? [])]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** Emitter calls listeners by the name of an event, with the type that the event has. */
export class Emitter<Events extends object> {
  readonly #listeners = new Listeners<keyof Events, unknown>();

  on<E extends keyof Events>(event: E, listener: Listener<Events[E]>): Stop {
    return this.#listeners.add(event, listener as Listener<unknown>);
  }

  emit<E extends keyof Events>(event: E, value: Events[E]): void {
    this.#listeners.emit(event, value);
  }
}
