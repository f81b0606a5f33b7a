// For servers of grpc-js that stand for a control plane in a test, and channels to them. Tests only.
import { ServerCredentials } from '@grpc/grpc-js';
import type { GrpcChannel } from '@heddle/runtime';
import { generateKeyPair, nodeGrpc } from '@heddle/runtime/node';
import { controlChannel } from '../control-channel.ts';
import { TestRoot } from './control.ts';

const root = new TestRoot();

/** With the certificate of a control plane. */
export function controlServerCredentials(): ServerCredentials {
  const key = generateKeyPair();
  const certificate = root.issue(key.spkiDer, `spiffe://${root.trustDomain}/ns/heddle-system/svc/control`, 3_600_000);
  return ServerCredentials.createSsl(
    null,
    [{ cert_chain: Buffer.from(certificate + root.pem), private_key: Buffer.from(key.keyPem) }],
    false,
  );
}

/** To a server with these credentials, as nobody in particular. */
export function channelTo(port: number): GrpcChannel {
  return controlChannel(nodeGrpc, { address: '127.0.0.1', port }, { rootsPem: root.pem, trustDomain: root.trustDomain });
}
