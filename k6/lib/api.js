// A client of the server for all scenarios.

import http from 'k6/http';
import { fail } from 'k6';

export const BASE = (__ENV.BASE_URL || 'http://localhost:8000').replace(/\/$/, '');
export const FACTOR = Number(__ENV.FACTOR || 1);
// Virtual users at factor 1.
export const USERS = Number(__ENV.USERS || 4);
export const SECONDS = Number(__ENV.SECONDS || 10);

const JSON_BODY = { 'content-type': 'application/json' };

export function headers(token) {
  return token ? { ...JSON_BODY, authorization: `Bearer ${token}` } : JSON_BODY;
}

export function send(method, path, token, body, tags) {
  const text = body === undefined || body === null ? null : JSON.stringify(body);
  return http.request(method, `${BASE}${path}`, text, { headers: headers(token), tags });
}

// For setup: any other status ends the run.
export function must(status, method, path, token, body) {
  const answer = send(method, path, token, body, { name: 'setup' });
  if (answer.status !== status) {
    fail(`${method} ${path}: ${answer.status} and not ${status}: ${answer.body}`);
  }
  return answer.body ? answer.json() : null;
}

export function signIn(email) {
  const { token } = must(202, 'POST', '/auth/request-link', null, { email });
  if (!token) {
    fail('the server answers with no link: load is for APP_ENV=dev or test');
  }
  return must(200, 'POST', '/auth/redeem', null, { token }).access_token;
}

// Creates an org on `pro`, which has no caps.
export function proOrg(token, name) {
  const org = must(201, 'POST', '/orgs', token, { name });
  const page = must(201, 'POST', `/orgs/${org.id}/billing/checkout`, token);
  must(200, 'POST', `/dev/checkout/${page.session_id}`, null);
  const { plan } = must(200, 'GET', `/orgs/${org.id}`, token);
  if (plan !== 'pro') {
    fail(`the org has the plan ${plan}`);
  }
  return org.id;
}

// Returns names that no other run has used.
export function unique(word) {
  return `${word}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`;
}

// Writes the figures to `OUT`, from which `scripts/k6` makes its report. `RUN` describes the run that they belong to;
// a script that runs alone is a run of its own.
export function summary(kind, data) {
  const at = new Date().toISOString();
  const run = __ENV.RUN ? JSON.parse(__ENV.RUN) : { id: at.replace(/[-:]|\.\d+/g, '') };
  const out = __ENV.OUT || `k6-results/${run.id}-${kind}.json`;
  const figures = { run, at, kind, factor: FACTOR, users: USERS * FACTOR, seconds: SECONDS, metrics: {} };
  for (const [name, metric] of Object.entries(data.metrics)) {
    figures.metrics[name] = { values: metric.values, thresholds: metric.thresholds };
  }
  const failed = Object.entries(data.metrics)
    .flatMap(([name, metric]) => Object.entries(metric.thresholds || {}).map((one) => [name, ...one]))
    .filter(([, , threshold]) => !threshold.ok)
    .map(([name, threshold]) => `  ${name}: ${threshold}`);
  for (const one of data.root_group.checks.filter((check) => check.fails > 0)) {
    failed.push(`  "${one.name}" failed ${one.fails} times of ${one.passes + one.fails}`);
  }
  const said = failed.length ? `${kind}: THRESHOLDS NOT KEPT\n${failed.join('\n')}\n` : `${kind}: ok\n`;
  return { [out]: JSON.stringify(figures, null, 1), stdout: said };
}

export const STATS = [
  'min', 'med', 'avg', 'p(10)', 'p(25)', 'p(75)', 'p(90)', 'p(95)', 'p(99)', 'p(99.9)', 'max', 'count',
];
