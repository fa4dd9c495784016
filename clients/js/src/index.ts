export { type Codec, DecodeError, type Envelope, type Extras, type Frame, type HeaderValue, type Serial } from './codec/envelope.js';
export { json } from './codec/json.js';
