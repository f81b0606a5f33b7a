// Where would this request go, and why? Answered by a data plane, by the configuration that it has applied; nothing is sent.
import { useSignal } from '@preact/signals';
import type { Action, Explanation } from '../api/explanation.ts';
import { ApiError } from '../api/http.ts';
import { plain, shortName, span } from '../logic/format.ts';
import { headersOf } from '../logic/headers.ts';
import { live } from '../browser/app.ts';
import { go, place } from '../browser/place.ts';
import { api } from '../browser/session.ts';
import { Card, Empty, Facts, Failure, HealthMark, Mark, Page } from '../parts/basics.tsx';
import { Select, Text } from '../parts/fields.tsx';
import { Cell, Table } from '../parts/table.tsx';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'CONNECT'].map((method) => [method, method] as const);

/** The question as it is filled in, and what became of it. */
function useQuestion() {
  const { query } = place.peek();
  const from = useSignal(query['from'] ?? '');
  const method = useSignal(query['method'] ?? 'GET');
  const url = useSignal(query['url'] ?? '');
  const headers = useSignal(query['headers'] ?? '');
  const answer = useSignal<Explanation | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);
  const isBusy = useSignal(false);
  const ask = async (): Promise<void> => {
    isBusy.value = true;
    error.value = undefined;
    const question = { from: from.value || (live.services.names.peek()[0] ?? ''), method: method.value, url: url.value };
    go('explain', { ...question, headers: headers.value }, { replace: true });
    try {
      answer.value = await api.send<Explanation>('POST', '/explain', { ...question, headers: headersOf(headers.value) });
    } catch (failure) {
      answer.value = undefined;
      error.value = failure instanceof ApiError ? failure : new ApiError(0, 'UNKNOWN', (failure as Error).message);
    } finally {
      isBusy.value = false;
    }
  };
  return { from, method, url, headers, answer, error, isBusy, ask };
}

export function Explain() {
  const { from, method, url, headers, answer, error, isBusy, ask } = useQuestion();
  const services = live.services.names.value;
  return (
    <Page title="Explain" about="Where a request would go, which rules apply, and why. Nothing is sent.">
      <Card title="The request">
        <form
          class="form"
          onSubmit={(event) => {
            event.preventDefault();
            void ask();
          }}
        >
          <Select
            label="From"
            value={from.value || (services[0] ?? '')}
            options={services.map((name) => [name, shortName(name)])}
            onChange={(value) => (from.value = value)}
          />
          <Select label="Method" value={method.value} options={METHODS} onChange={(value) => (method.value = value)} />
          <Text
            label="URL"
            value={url.value}
            required
            placeholder="http://orders/items"
            class="grow"
            onChange={(value) => (url.value = value)}
          />
          <label class="field full">
            <span>Headers, one a line</span>
            <textarea
              rows={2}
              spellcheck={false}
              placeholder="x-user: ann"
              value={headers.value}
              onInput={(event) => (headers.value = event.currentTarget.value)}
            />
          </label>
          <div class="actions">
            <button type="submit" class="primary" disabled={isBusy.value || url.value === '' || services.length === 0}>
              {isBusy.value ? 'Asking …' : 'Explain'}
            </button>
          </div>
        </form>
      </Card>
      <div aria-live="polite">
        {error.value !== undefined && (
          <Failure
            error={error.value}
            what="explanation"
            title={
              error.value.status === 404 && error.value.message.startsWith('there is nothing')
                ? 'This control plane explains nothing yet'
                : 'It cannot be explained'
            }
          />
        )}
        {answer.value !== undefined && <Answer answer={answer.value} />}
        {answer.value === undefined && error.value === undefined && (
          <Card title="The answer">
            <Empty title="Ask about a request">
              For example GET http://orders/ from web. The same is told by <code>heddle explain GET http://orders/ --from web</code>
            </Empty>
          </Card>
        )}
      </div>
    </Page>
  );
}

const TONES = { forwarded: 'good', tunnelled: 'good', answered: 'warn', refused: 'bad' } as const;

function Answer({ answer }: { readonly answer: Explanation }) {
  const { outcome, caller, listener, route, action, access, calledSide, notes, node } = answer;
  const { kind, summary, code, status, mend, similar } = outcome;
  const decisions = [
    ...new Map(calledSide.flatMap(({ decision }) => (decision === null ? [] : [[JSON.stringify(decision), decision] as const]))).values(),
  ];
  return (
    <>
      <Card title="The answer">
        <p class="outcome">
          <Mark tone={TONES[kind]} icon={kind === 'refused' ? 'cross' : kind === 'answered' ? 'warn' : 'check'}>
            {kind}
          </Mark>{' '}
          {summary}
          {code !== null && ` (${status ?? ''} ${code})`}
        </p>
        {similar.length > 0 && <p>Did you mean {similar.join(', ')}?</p>}
        {mend !== '' && <p>Mend: {mend}</p>}
        <Facts
          items={[
            ['Caller', `${caller.workload}, which ${caller.why}, at ${node}`],
            ...(listener === null
              ? []
              : ([['Listener', `${listener.name} on ${listener.address}:${listener.port}, because ${listener.why}`]] as const)),
            ...(route === null ? [] : ([['Route', <RouteFacts key="route" route={route} />]] as const)),
            ...(action === null ? [] : actionFacts(action)),
            ['Access', access.summary],
            ...decisions.map(
              (decision) =>
                [
                  'Called side',
                  `${decision.allowed ? 'allows' : 'refuses'} it: ${decision.reason}${decision.token === '' ? '' : `. ${decision.token}`}`,
                ] as const,
            ),
            ...(notes.length === 0 ? [] : ([['Note', notes.join('. ')]] as const)),
          ]}
        />
      </Card>
      {answer.clusters.map((target) => (
        <Card
          key={target.name}
          title={`${shortName(target.service === '' ? target.name : target.service)}${target.sharePercent < 100 ? `, ${target.sharePercent} % of the requests` : ''}`}
        >
          <Candidates target={target} />
        </Card>
      ))}
    </>
  );
}

function RouteFacts({
  route: { name, position, routes, virtualHost, domain, passedOver, passedOverCount },
}: {
  readonly route: NonNullable<Explanation['route']>;
}) {
  if (virtualHost === '') return <>none</>;
  return (
    <>
      {name === '' ? `none of ${routes}` : `${name}, number ${position} of ${routes}`}, of {virtualHost} by its domain {domain}
      {passedOver.length > 0 && (
        <ul class="plain about">
          {passedOver.slice(0, 8).map(({ route, why }) => (
            <li key={route}>
              not {route}: {why}
            </li>
          ))}
          {passedOverCount > 8 && <li>and {passedOverCount - 8} more</li>}
        </ul>
      )}
    </>
  );
}

function actionFacts(action: Action): (readonly [string, string])[] {
  if (action.kind === 'tunnel')
    return [['Tunnel', action.tunnel === '' ? 'the bytes go to the instance as they are' : `by CONNECT ${action.tunnel}`]];
  if (action.kind === 'redirect') return [['Redirect', `${action.status} to ${action.location}`]];
  if (action.kind === 'respond') return [['Answer', `${action.status} ${action.contentType} ${action.body}`]];
  const { time, retry, retryNote, rewrite, fault, rateLimits } = action;
  return [
    ...(rewrite === null ? [] : ([['Rewrite', `asks ${rewrite.authority} for ${rewrite.path}`]] as const)),
    ['Time', time.limitMs === 0 ? 'no limit' : `${span(time.limitMs)}${time.error === null ? '' : `, then ${time.error}`}`],
    [
      'Retry',
      retry.attempts === 0 ? 'none' : `up to ${retry.attempts} more, on ${retry.on.join(', ')}${retryNote === '' ? '' : `; ${retryNote}`}`,
    ],
    ...(fault === null ? [] : ([['Fault', plain(fault)]] as const)),
    ...rateLimits.map(({ text, applies, why }) => ['Limit', applies ? text : `${text}; not for this request: ${why}`] as const),
  ];
}

function Candidates({ target: { candidates } }: { readonly target: Explanation['clusters'][number] }) {
  const { all, canBePicked, shown } = candidates;
  if (all === 0) return <Empty title="There is no instance">Nobody could answer.</Empty>;
  return (
    <>
      <p class="about">
        One of {canBePicked}, of {all}.
      </p>
      <Table label="Instances" columns={['Instance', 'Address', 'Health', 'Picked', 'Why'].map((title) => ({ title }))}>
        {shown.map(({ instance, address, port, health, canBePicked: isPicked, why }) => (
          <tr key={`${instance} ${address} ${port}`}>
            <Cell title="Instance">{instance}</Cell>
            <Cell title="Address">
              <code>
                {address}:{port}
              </code>
            </Cell>
            <Cell title="Health">
              <HealthMark health={health} />
            </Cell>
            <Cell title="Picked">{isPicked ? 'yes' : 'no'}</Cell>
            <Cell title="Why">{why === '' ? '–' : why}</Cell>
          </tr>
        ))}
      </Table>
    </>
  );
}
