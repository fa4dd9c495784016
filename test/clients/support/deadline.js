// Waiting, always for an event and never for a time: the only module that owns timers.

export const waitLimit = 60_000;

// within resolves as promise does, or fails when that takes longer than ms.
export function within(promise, what, ms = waitLimit) {
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${typeof what === 'function' ? what() : what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}

// answered asks again and again until there is an answer, which it resolves to.
export async function answered(ask, what, ms = waitLimit) {
  for (const end = performance.now() + ms; performance.now() < end;) {
    const answer = await ask();
    if (answer) return answer;
  }
  throw new Error(`no ${what} within ${ms} ms`);
}

// Inbox keeps everything that happened, in order, and lets tests wait for what has not yet.
export class Inbox {
  items = [];
  #waiting = new Set();

  constructor(name) {
    this.name = name;
  }

  push = (item) => {
    this.items.push(item);
    for (const look of [...this.#waiting]) look();
  };

  // find resolves to the first item at or after index `from` that fits, now or later.
  find(fits, what, { from = 0, ms = waitLimit } = {}) {
    let next = from;
    const found = new Promise((resolve) => {
      const look = () => {
        while (next < this.items.length) {
          const item = this.items[next++];
          if (fits(item)) {
            this.#waiting.delete(look);
            resolve(item);
            return;
          }
        }
      };
      this.#waiting.add(look);
      look();
    });
    return within(found, () => `${what} in ${this.name}, which holds ${JSON.stringify(this.items.slice(-8))}`, ms);
  }

  // count resolves when n items fit.
  async count(n, fits, what, ms = waitLimit) {
    let seen = 0;
    await this.find((item) => fits(item) && ++seen === n, `${n} x ${what}`, { ms });
    return this.items.filter(fits);
  }
}
