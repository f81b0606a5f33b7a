// The reference page of errors, made from the table: `docs/reference/errors.md`, written by `tools/write-errors.ts`.
import { errorCodes } from './lookup.ts';
import type { ErrorOrigin } from './table.ts';
import { ERROR_HEADER, ERRORS } from './table.ts';

const ORIGINS: Readonly<Record<ErrorOrigin, string>> = {
  local: 'this data plane',
  peer: 'the client that made the request',
  upstream: 'the called side',
  policy: 'a rule of the mesh',
};

export function errorsMarkdown(): string {
  return [intro(), overview(), ...errorCodes.map(section)].join('\n\n') + '\n';
}

function intro(): string {
  return [
    '# Errors of the data plane',
    '',
    '<!-- Generated from packages/core/src/errors/table.ts by packages/core/tools/write-errors.ts; do not edit. -->',
    '',
    `When a data plane answers a request itself, the response header \`${ERROR_HEADER}\` names the reason. The same code stands in access`,
    'logs and metric labels. Applications cannot send this header: it is removed from their responses.',
    '',
    '"Never delivered" means that the application has not seen the request, so that another try is safe for every method.',
  ].join('\n');
}

function overview(): string {
  const rows = errorCodes.map((code) => {
    const entry = ERRORS[code];
    return `| [\`${code}\`](#${code.toLowerCase()}) | ${entry.httpStatus} | ${entry.grpcStatus} | ${entry.origin} | ${entry.neverDelivered ? 'yes' : 'no'} |`;
  });
  return ['| code | HTTP status | gRPC status | origin | never delivered |', '|---|---|---|---|---|', ...rows].join('\n');
}

function section(code: keyof typeof ERRORS): string {
  const entry = ERRORS[code];
  return [`## ${code}`, '', entry.meaning, '', `- Origin: ${ORIGINS[entry.origin]}.`, `- What to do: ${entry.mend}`].join('\n');
}
