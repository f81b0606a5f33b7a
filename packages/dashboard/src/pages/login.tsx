// Who are you? A token answers that; without one, nothing of the mesh is shown.
import { useSignal } from '@preact/signals';
import { ApiError } from '../api/http.ts';
import { logIn, session } from '../browser/session.ts';
import { Failure, Note } from '../parts/basics.tsx';

export function Login() {
  const text = useSignal('');
  const isBusy = useSignal(false);
  const error = useSignal<ApiError | undefined>(undefined);
  const { value } = session;
  const submit = async (): Promise<void> => {
    isBusy.value = true;
    error.value = undefined;
    try {
      await logIn(text.value);
    } catch (failure) {
      error.value = failure instanceof ApiError ? failure : new ApiError(0, 'UNKNOWN', String(failure));
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <main class="login" id="main">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <h1>Heddle</h1>
        <p class="about">The dashboard of a service mesh. Log in with a token of an administrator.</p>
        {value.state === 'out' && value.why !== '' && error.value === undefined && (
          <Note tone="warn" icon="warn">
            {value.why}
            {value.mend !== '' && <p>{value.mend}</p>}
          </Note>
        )}
        {error.value !== undefined && <Failure error={error.value} what="login" title="That did not work" />}
        <label class="field">
          <span>Token</span>
          <input
            type="password"
            required
            autoComplete="off"
            spellcheck={false}
            value={text.value}
            onInput={(event) => (text.value = event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary" disabled={isBusy.value || text.value.trim() === ''}>
          {isBusy.value ? 'Asking …' : 'Log in'}
        </button>
        <ul class="about plain">
          <li>
            <code>heddle dashboard</code> prints a link that logs you in once.
          </li>
          <li>
            <code>heddle token create --admin NAME --role viewer</code> makes a token for somebody else.
          </li>
          <li>A token of your OpenID Connect issuer does as well, where the control plane has --admin-issuer.</li>
        </ul>
        <p class="about">It is kept for this tab only, and sent to this control plane only.</p>
      </form>
    </main>
  );
}
