// Credentials of grpc-js have two parts. The channel's, for TLS, have no meaning here: the mesh authenticates both sides by itself. Those of calls, which
// make metadata such as tokens, are asked for each call.
import type { CallCredentials, ChannelCredentials } from '@grpc/grpc-js';

/** What grpc-js has had over its versions to get at the second part. */
interface Inside {
  _getCallCredentials?(): CallCredentials;
  _createSecureConnector?(target: object, options: object): { getCallCredentials(): CallCredentials; destroy?(): void };
}

/** Undefined where there are none. */
export function callCredentialsOf(credentials: ChannelCredentials): CallCredentials | undefined {
  const inside = credentials as unknown as Inside;
  if (inside._getCallCredentials !== undefined) return filled(inside._getCallCredentials());
  // Connects nothing: it is asked for what it would add.
  const connector = inside._createSecureConnector?.({ scheme: 'dns', path: 'localhost' }, {});
  const found = connector?.getCallCredentials();
  connector?.destroy?.();
  return found === undefined ? undefined : filled(found);
}

/** Those of the call first, as grpc-js does. */
export function composed(call: CallCredentials | undefined, channel: CallCredentials | undefined): CallCredentials | undefined {
  const own = call === undefined ? undefined : filled(call);
  if (own === undefined || channel === undefined) return own ?? channel;
  return own.compose(channel);
}

/** Empty credentials are those that, composed with others, are the others. */
function filled(credentials: CallCredentials): CallCredentials | undefined {
  const probe = {} as CallCredentials;
  return credentials.compose(probe) === probe ? undefined : credentials;
}
