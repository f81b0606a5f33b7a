// PEM text around DER (RFC 7468). Strict enough that what is read back is what was written.

export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST' | 'ENCRYPTED PRIVATE KEY';

export function encodePem(label: PemLabel, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** The DER of every block with the label, in order; blocks with other labels and text between blocks are skipped (RFC 7468 2). */
export function decodePem(label: PemLabel, text: string): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  for (const match of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g)) {
    if (match[1] === label) blocks.push(Buffer.from(match[2] as string, 'base64'));
  }
  return blocks;
}
