// The table as a script for `nft -f`. The kernel takes a script whole or not at all, so that no call ever meets half a table. Names of
// workloads and services stand in comments: the kernel can then be asked what was installed, without a file that may be older or newer.
import { type CapturedCaller, type CaptureEntry, type CaptureTable, TABLE } from './types.ts';

/** First packets of calls that an entry has taken so far. */
export interface EntryCounter {
  readonly packets: number;
  readonly bytes: number;
}

/** `counterOf`: what an entry begins to count from; undefined: 0. */
export function renderRuleset(
  table: CaptureTable,
  counterOf: (caller: CapturedCaller, entry: CaptureEntry) => EntryCounter | undefined = () => undefined,
): string {
  const { addresses, callers } = table;
  return `# Written by \`heddle capture apply\`. The first two lines make room for the new table, whether there was an old one or not.
table ip ${TABLE}
delete table ip ${TABLE}
table ip ${TABLE} {
  # Every virtual address of the mesh.
  set addresses {
    type ipv4_addr
${elements(addresses)}  }

${callers.map((caller, index) => renderMap(caller, index, counterOf)).join('\n')}
  # Only the first packet of a connection comes here; the others follow it.
  chain capture {
    type nat hook output priority -100; policy accept;
${callers.map(renderJump).join('')}  }

${callers.map(renderChain).join('\n')}
  # What was not captured has nowhere to go: an answer at once, instead of a time-out.
  chain refuse {
    type filter hook output priority 0; policy accept;
    ip daddr @addresses meta l4proto tcp counter reject with tcp reset
    ip daddr @addresses counter reject
  }
}
`;
}

/** The script that takes the table away. */
export const REMOVAL = `delete table ip ${TABLE}\n`;

export const mapName = (index: number): string => `services_${index + 1}`;
export const chainName = (index: number): string => `workload_${index + 1}`;

function renderMap(
  caller: CapturedCaller,
  index: number,
  counterOf: (caller: CapturedCaller, entry: CaptureEntry) => EntryCounter | undefined,
): string {
  const lines = caller.entries.map((entry) => {
    const counter = counterOf(caller, entry);
    const from = counter === undefined ? 'counter' : `counter packets ${counter.packets} bytes ${counter.bytes}`;
    return `${entry.address} . ${entry.port} ${from} comment "${entry.service}" : ${entry.to.address} . ${entry.to.port}`;
  });
  return `  # ${caller.workload}: virtual address and port of a service, and the local port of the proxy that leads there.
  map ${mapName(index)} {
    type ipv4_addr . inet_service : ipv4_addr . inet_service
    counter
${elements(lines)}  }
`;
}

/** A comment holds 128 characters, too few for a workload's whole name: the instance stands in the chain. */
function renderJump({ workload, uid }: CapturedCaller, index: number): string {
  const caller = uid === undefined ? '' : `meta skuid ${uid} `;
  return `    ${caller}ip daddr @addresses jump ${chainName(index)} comment "${workload.slice(0, workload.lastIndexOf('/'))}"\n`;
}

function renderChain({ workload }: CapturedCaller, index: number): string {
  return `  chain ${chainName(index)} {
    meta l4proto tcp dnat ip to ip daddr . tcp dport map @${mapName(index)} comment "${workload.slice(workload.lastIndexOf('/') + 1)}"
  }
`;
}

/** A set without elements must not name any. */
function elements(lines: readonly string[]): string {
  return lines.length === 0 ? '' : `    elements = {\n${lines.map((line) => `      ${line}`).join(',\n')}\n    }\n`;
}
