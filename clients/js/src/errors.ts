/**
 * ClientError is what a server refused or did not answer.
 * code is a number from the server, or a word of this client: 'timeout', 'closed', 'authorization', 'frame'.
 */
export class ClientError extends Error {
  override name = 'ClientError';
  readonly code: number | string;
  readonly channel: string | undefined;

  constructor(code: number | string, message: string, options: { channel?: string | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.channel = options.channel;
  }
}

/** errorFrom reads the data of an error frame. */
export function errorFrom(data: unknown, channel?: string): ClientError {
  const { code, status, message, error } = (data ?? {}) as Record<string, unknown>;
  const known = [code, status].find((value) => typeof value === 'number') as number | undefined;
  return new ClientError(known ?? 'unknown', String(message ?? error ?? 'an error without a message'), { channel });
}
