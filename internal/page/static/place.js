// Where the server is: at the address of the page, which may be below a path of a site.

const home = new URL('.', location.href);
home.search = '';

// at is the address of a path of the server, which begins without a slash.
export function at(path) {
  return new URL(path, home).href;
}

// socketAt is at for a WebSocket.
export function socketAt(path) {
  return at(path).replace(/^http/, 'ws');
}

// prefix is the path below which the server is: empty, or like "/realtime".
export const prefix = home.pathname.replace(/\/$/, '');

export const server = home.origin + prefix;
