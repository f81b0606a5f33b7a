// Certificates and when they end, identities that are denied, and the root that all of it comes from.
import { useComputed } from '@preact/signals';
import type { Authority, DeniedList, IdentityList, IssuedCertificate } from '../api/types.ts';
import { plural, shortName, span } from '../logic/format.ts';
import { identityName } from '../logic/words.ts';
import { nowMs } from '../browser/machine.ts';
import { useResource } from '../browser/resource.ts';
import { Ago, Card, Empty, Facts, Failure, Mark, Note, Page, Waiting } from '../parts/basics.tsx';
import { Cell, Table } from '../parts/table.tsx';

const PHASES: Readonly<Record<Authority['phase'], string>> = {
  none: 'no replacement is under way',
  added: 'data planes are told of the new root',
  used: 'certificates come from the new root',
  finishing: 'the old root is being removed',
};

export function Identities() {
  const authority = useResource<Authority>(() => ({ path: '/authority' }));
  const identities = useResource<IdentityList>(() => ({ path: '/identities', query: { limit: 1_000 } }));
  const denied = useResource<DeniedList>(() => ({ path: '/denied-identities', everyMs: 15_000 }));
  const list = identities.value;
  return (
    <Page title="Identities" about="Who is who in the mesh: certificates live for an hour and are renewed at half of it, by themselves.">
      <Card title="Authority">
        {authority.value.data !== undefined ? (
          <AuthorityView authority={authority.value.data} />
        ) : authority.value.error !== undefined ? (
          <Failure error={authority.value.error} what="authority" />
        ) : (
          <Waiting what="the authority" />
        )}
      </Card>
      <Card title="Certificates">
        {list.data !== undefined ? (
          <Certificates list={list.data} />
        ) : list.error !== undefined ? (
          <Failure error={list.error} what="certificates" />
        ) : (
          <Waiting what="the certificates" />
        )}
      </Card>
      <Card title="Denied">
        <Denied list={denied.value.data} />
      </Card>
    </Page>
  );
}

function AuthorityView({ authority }: { readonly authority: Authority }) {
  const { source, phase, automatic, root, next, step, obstacles, dataPlanes, acknowledged, stragglers, logFailing } = authority;
  return (
    <>
      {logFailing && (
        <Note tone="bad" icon="warn">
          The log of issued certificates cannot be written: is the disk full?
        </Note>
      )}
      <Facts
        items={[
          ['Signed by', source === 'own' ? 'a root of its own' : source === 'files' ? 'an authority from files' : 'a command'],
          ['Root', <code key="pin">{root.pin}</code>],
          ['Root ends', <Ago key="ends" time={root.notAfter} />],
          ['Certificates from it', String(root.certificates)],
          ['Replacement', `${PHASES[phase]}${automatic ? ', by itself' : ''}`],
          ['Roots known to', `${acknowledged} of ${plural(dataPlanes, 'data plane')}`],
          ...(next === null
            ? []
            : ([
                ['New root', <code key="next">{next.pin}</code>],
                ['Certificates from the new root', String(next.certificates)],
              ] as const)),
        ]}
      />
      {step !== null && (
        <Note tone={obstacles.length > 0 ? 'warn' : 'calm'}>
          Next: <code>heddle ca rotate {step}</code>
          {obstacles.length > 0 && (
            <ul class="plain">
              {obstacles.map((obstacle) => (
                <li key={obstacle}>{obstacle}</li>
              ))}
            </ul>
          )}
        </Note>
      )}
      {stragglers.length > 0 && <p class="about">Not yet: {stragglers.map(({ node, reason }) => `${node} (${reason})`).join(', ')}</p>}
    </>
  );
}

function Certificates({ list: { items, next } }: { readonly list: IdentityList }) {
  if (items.length === 0) return <Empty title="No certificate has been issued">Workloads get theirs when they join.</Empty>;
  const sorted = items.toSorted((a, b) => (a.notAfter < b.notAfter ? -1 : 1));
  return (
    <>
      <Table
        label="Certificates, the one that ends first at the top"
        columns={['Identity', 'Ends', 'Issued for', 'Serial number', 'Issued'].map((title) => ({ title }))}
      >
        {sorted.map((certificate) => (
          <CertificateRow key={certificate.serial} certificate={certificate} />
        ))}
      </Table>
      {next !== undefined && <p class="about">There are more: heddle identity list shows all.</p>}
    </>
  );
}

function CertificateRow({ certificate: { identity, issued, notAfter, why, serial, denied } }: { readonly certificate: IssuedCertificate }) {
  const [from, until] = [Date.parse(issued), Date.parse(notAfter)];
  const left = useComputed(() => Math.max(0, Math.min(1, (until - nowMs.value) / (until - from))));
  const text = useComputed(() => (until <= nowMs.value ? 'has ended' : `in ${span(until - nowMs.value)}`));
  const isLate = useComputed(() => left.value < 0.25);
  return (
    <tr>
      <Cell title="Identity">
        <span title={identity}>{shortName(identityName(identity))}</span>
        {denied && (
          <>
            {' '}
            <Mark tone="bad" icon="cross">
              denied
            </Mark>
          </>
        )}
      </Cell>
      <Cell title="Ends">
        <span class="life">
          <progress class={isLate.value ? 'late' : undefined} max={1} value={left} aria-label="Life that is left" />
          <span class="nowrap">{text}</span>
        </span>
      </Cell>
      <Cell title="Issued for">{why.replaceAll('-', ' ')}</Cell>
      <Cell title="Serial number">
        <code title={serial}>{serial.slice(0, 12)}</code>
      </Cell>
      <Cell title="Issued">
        <Ago time={issued} />
      </Cell>
    </tr>
  );
}

function Denied({ list }: { readonly list: DeniedList | undefined }) {
  if (list === undefined) return <Waiting what="the list" />;
  if (list.items.length === 0)
    return (
      <Empty title="Nobody is denied">
        <code>heddle identity deny SERVICE</code> closes all connections of a service that was taken over, and gives it no certificate any
        more.
      </Empty>
    );
  return (
    <Table label="Denied identities" columns={['Identity', 'Reason', 'Since', 'By'].map((title) => ({ title }))}>
      {list.items.map(({ identity, reason, since, by }) => (
        <tr key={identity}>
          <Cell title="Identity">{identity}</Cell>
          <Cell title="Reason">{reason === '' ? '–' : reason}</Cell>
          <Cell title="Since">{since === null ? 'the mesh file' : <Ago time={since} />}</Cell>
          <Cell title="By">{by}</Cell>
        </tr>
      ))}
    </Table>
  );
}
