// `heddle get policies`: who may call whom, by the rules that hold.
import type { admin } from '@heddle/api';
import { type Column, formatTable } from '../output/format.ts';
import type { Palette } from '../output/palette.ts';

export function policyRow({ name, effect, audit, from, to, what, when, json }: admin.AccessRuleMessage) {
  return { name, effect, audit, from, to, what, when, rule: JSON.parse(json) as unknown };
}
export type PolicyRow = ReturnType<typeof policyRow>;

export function policyColumns(palette: Palette): Column<PolicyRow>[] {
  return [
    { title: 'RULE', cell: ({ name }) => name },
    {
      title: 'EFFECT',
      cell: ({ effect, audit }) =>
        audit ? palette.warn(`${effect} (audit)`) : effect === 'deny' ? palette.bad(effect) : palette.good(effect),
    },
    { title: 'FROM', cell: ({ from }) => (from === '' ? 'anyone' : from) },
    { title: 'TO', cell: ({ to }) => (to === '' ? '*' : to) },
    { title: 'WHAT', cell: ({ what }) => (what === '' ? '*' : what) },
    { title: 'WHEN', cell: ({ when }) => when },
  ];
}

/** The rest of it, below the rules. */
export function policySummary(policies: Omit<admin.ListPoliciesResponse, 'rules'>, palette: Palette): string {
  const { default: byDefault, audit, mtls, tlsMin, authorizer, issuers, denied } = policies;
  const lines = [
    `where no rule fits: ${byDefault}${audit ? ', and nothing is refused (audit)' : ''}`,
    `mutual TLS: ${mtls === 'strict' ? mtls : palette.warn(mtls)}, TLS ${tlsMin} or newer`,
    ...(authorizer === '' ? [] : [`asked too: ${authorizer}`]),
    ...(issuers.length === 0 ? [] : [`tokens of: ${issuers.join(', ')}`]),
    ...(denied.length === 0 ? [] : [`denied: ${denied.join(', ')}`]),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

export function policyText(policies: admin.ListPoliciesResponse, palette: Palette): string {
  const rows = policies.rules.map(policyRow);
  return `${rows.length === 0 ? 'no rules\n' : formatTable(policyColumns(palette), rows, palette)}${policySummary(policies, palette)}`;
}
