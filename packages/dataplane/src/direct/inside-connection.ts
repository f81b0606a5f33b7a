// What stands for the connection of calls that need none.
import { type Connection, NOBODY } from '@heddle/runtime';

const nothing = (): void => {};

export const INSIDE: Connection = {
  handler: NOBODY,
  remoteAddress: '127.0.0.1',
  remotePort: 0,
  localPort: 0,
  alpn: '',
  peerId: '',
  write: () => true,
  copiesWrites: true,
  holdsBytes: false,
  cork: nothing,
  uncork: nothing,
  pause: nothing,
  resume: nothing,
  end: nothing,
  destroy: nothing,
  reset: nothing,
};
