// Forms as bytes (RFC 7578), of any FormData: the global one, undici's, or another that has its methods.
import { randomUUID } from 'node:crypto';

export interface FormDataLike {
  entries(): Iterable<readonly [string, string | Blob]>;
}

export interface EncodedForm {
  readonly contentType: string;
  readonly lengthBytes: number;
  readonly parts: readonly (Buffer | Blob)[];
}

const FINISH = '\r\n';

export function isFormData(body: object): body is FormDataLike {
  const { append, entries, getAll } = body as Record<string, unknown>;
  const tag = (body as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return tag === 'FormData' && [append, entries, getAll].every((method) => typeof method === 'function');
}

export function encodeForm(form: FormDataLike): EncodedForm {
  const boundary = `----heddle-form-${randomUUID()}`;
  const parts: (Buffer | Blob)[] = [];
  for (const [name, value] of form.entries()) {
    const start = `--${boundary}\r\ncontent-disposition: form-data; name="${quoted(normalLines(name))}"`;
    if (typeof value === 'string') {
      parts.push(Buffer.from(`${start}\r\n\r\n${normalLines(value)}${FINISH}`));
      continue;
    }
    const fileName = quoted((value as Partial<File>).name ?? 'blob');
    const type = value.type === '' ? 'application/octet-stream' : value.type;
    parts.push(Buffer.from(`${start}; filename="${fileName}"\r\ncontent-type: ${type}\r\n\r\n`), value, Buffer.from(FINISH));
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  let lengthBytes = 0;
  for (const part of parts) lengthBytes += Buffer.isBuffer(part) ? part.length : part.size;
  return { contentType: `multipart/form-data; boundary=${boundary}`, lengthBytes, parts };
}

export async function* formBytes({ parts }: EncodedForm): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (Buffer.isBuffer(part)) yield part;
    else yield* part.stream();
  }
}

/** As browsers do (HTML, "multipart/form-data encoding algorithm"). */
function quoted(name: string): string {
  return name.replaceAll('\n', '%0A').replaceAll('\r', '%0D').replaceAll('"', '%22');
}

function normalLines(text: string): string {
  return text.replace(/\r?\n|\r/g, '\r\n');
}
