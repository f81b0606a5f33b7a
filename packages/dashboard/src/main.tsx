// The dashboard begins here.
import 'uplot/dist/uPlot.min.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import './styles/graph.css';
import { render } from 'preact';
import { loginCode } from './state/routes.ts';
import { resume } from './browser/session.ts';
import { App } from './app.tsx';

const code = loginCode(location.hash);
// It is good once; the address is not to keep it.
if (code !== undefined) history.replaceState(null, '', '#/');
void resume(code);
render(<App />, document.querySelector('#app') ?? document.body);
