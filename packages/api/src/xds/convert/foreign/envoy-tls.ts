// TLS of Envoy towards hosts outside the mesh. Envoy knows nothing of the authorities that its platform trusts, but for the file in which most
// systems keep them.
import { SYSTEM_ROOTS, type UpstreamTls } from '@heddle/core';
import type { TransportSocket } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import { SubjectAltNameMatcher_SanType } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/common.ts';
import { UpstreamTlsContext } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/tls.ts';
import type { At } from '../rejection.ts';
import { pack } from '../strict.ts';
import { encodeUpstreamTls } from '../tls.ts';

/** Of Debian, Ubuntu, Alpine, and Envoy's own images. */
export const SYSTEM_ROOTS_FILE = '/etc/ssl/certs/ca-certificates.crt';

export function envoyUpstreamTls(tls: UpstreamTls, at: At): TransportSocket {
  const { certificateName, trustBundleName, serverName, alpn } = tls;
  if (trustBundleName !== SYSTEM_ROOTS) return encodeUpstreamTls(tls);
  const inside = at.field('tls');
  if (serverName === undefined) return inside.reject('the name of the server is needed where the roots of the system are trusted');
  if (certificateName !== undefined) inside.reject('no certificate of the mesh is shown where the roots of the system are trusted');
  const context: UpstreamTlsContext = {
    sni: serverName,
    commonTlsContext: {
      alpnProtocols: [...alpn],
      validationContextType: {
        $case: 'validationContext',
        value: {
          trustedCa: { specifier: { $case: 'filename', value: SYSTEM_ROOTS_FILE } },
          matchTypedSubjectAltNames: [
            { sanType: SubjectAltNameMatcher_SanType.DNS, matcher: { matchPattern: { $case: 'exact', value: serverName } } },
          ],
        },
      },
    },
  };
  return { name: 'envoy.transport_sockets.tls', configType: { $case: 'typedConfig', value: pack(UpstreamTlsContext, context) } };
}
