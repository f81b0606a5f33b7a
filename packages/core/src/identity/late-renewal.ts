// What a workload signs with the key of a certificate that has ended, to have it renewed. Both sides build the same bytes.

/** Names the purpose, so that no signature made for anything else can be one for this. */
const PURPOSE = 'heddle late renewal v1\0';

/** Both are SHA-256: of the certificate that has ended, and of the request for the new one. */
export function lateRenewalStatement(certificateSha256: Uint8Array, csrSha256: Uint8Array): Uint8Array {
  const purpose = new TextEncoder().encode(PURPOSE);
  const statement = new Uint8Array(purpose.length + certificateSha256.length + csrSha256.length);
  statement.set(purpose);
  statement.set(certificateSha256, purpose.length);
  statement.set(csrSha256, purpose.length + certificateSha256.length);
  return statement;
}
