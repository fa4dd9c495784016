export { Client, type ClientEvents, type ClientOptions } from './client.js';
export { type Codec, DecodeError, type Envelope, type Extras, type Frame, type HeaderValue, type Serial } from './codec/envelope.js';
export { json } from './codec/json.js';
export type { Socket, SocketConstructor, State, StateChange } from './connection.js';
export { ClientError } from './errors.js';
export type { HistoryItem, HistoryPage, HistoryQuery } from './history.js';
export type { Listener, Stop } from './listeners.js';
export type { Member, Members } from './members.js';
export type { Gap, GapCode, Message, Position } from './order.js';
export type { Recovered } from './recovery.js';
export type { Authenticator, User } from './signin.js';
export type {
  Authorizer, Filter, FilterNode, RewindResult, SubscribeOptions, Subscription, SubscriptionEvents, SubscriptionState,
} from './subscription.js';
export type { TokenSource } from './tokens.js';
