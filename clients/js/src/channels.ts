// What the name of a channel says about it (pusher 2.1, v2 10.3).

export const userChannelPrefix = '#server-to-user-';

export function needsAuthorization(channel: string): boolean {
  return channel.startsWith('private-') || channel.startsWith('presence-');
}

export function isPresence(channel: string): boolean {
  return channel.startsWith('presence-');
}

export function isPattern(channel: string): boolean {
  return channel.includes('*') && !channel.startsWith(userChannelPrefix);
}

// matches says whether a pattern with one asterisk has a channel. Patterns have public channels alone.
export function matches(pattern: string, channel: string): boolean {
  const [before = '', after = ''] = pattern.split('*');
  return !needsAuthorization(channel) && !channel.startsWith('[meta]') && !channel.startsWith(userChannelPrefix)
    && channel.length >= before.length + after.length && channel.startsWith(before) && channel.endsWith(after);
}
