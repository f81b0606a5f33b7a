// The certificate of a workload as Envoy gets it: by the names of files on its own machine, so that the key travels nowhere.
import type { CertificateFiles } from '@heddle/core';
import type { Secret } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/secret.ts';

/** Envoy reads both files again when something is moved into the directory: `heddle identity watch` does that. */
export function encodeCertificateFiles({ name, certificateFiles: { directory } }: CertificateFiles): Secret {
  const file = (of: string): { specifier: { $case: 'filename'; value: string } } => ({
    specifier: { $case: 'filename', value: `${directory.replace(/\/+$/, '')}/${of}` },
  });
  return {
    name,
    type: {
      $case: 'tlsCertificate',
      value: { certificateChain: file('cert.pem'), privateKey: file('key.pem'), watchedDirectory: { path: directory } },
    },
  };
}
